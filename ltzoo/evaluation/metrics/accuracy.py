"""Transfer accuracy: does the judge find the source's class in the translation?"""

from __future__ import annotations

from torch import Tensor

__all__ = ["correct", "share"]


def correct(predicted: Tensor, classes: Tensor) -> Tensor:
    """Whether each translation was read as its source's true class; the mean is transfer accuracy.

    The truth is the source's label, not a classifier's reading of it, and the reader is a judge: in the
    original protocol both were classifiers, and one had labelled the training data (Tian & Engel 2019,
    https://arxiv.org/abs/1902.08261; ``evaluate_joint2`` in the authors' code).

    Args:
        predicted: int64 ``(n,)``, the judge's class, -1 for a label outside the shared classes.
        classes: int64 ``(n,)``, true classes, none of them -1.

    Returns:
        float64 ``(n,)``, each 0 or 1. One prototype a class scores 1 on average: never use it alone.
    """
    return (predicted == classes).double()


def share(value: float, reference: float) -> float:
    """``value`` as a share of ``reference``: 1 = as good, more than 1 = better; NaN if ``reference`` is 0.

    A transfer accuracy above random same-class retrieval's (share > 1) means sharpened classes, not a
    better translation: retrieval answers with real latents of the class.
    """
    return value / reference if reference else float("nan")
