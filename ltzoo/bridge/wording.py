"""A bridge in words, for people. Torch-free."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from ltzoo.bridge.explanation import Explained, ExplainedDirection, ExplainedModel

__all__ = ["RECIPES", "accuracy_words", "direction_words", "explanation_lines", "size_words", "summary"]

RECIPES = {
    "default": "starts from a map in closed form, class by class, and learns corrections to it",
    "tian-engel-2019": "one variational autoencoder for all models, as Tian & Engel published it in 2019",
    "class-axes": "a map in closed form, class by class, along the axes of each class; nothing is learned on top",
    "class-gaussian": "a map in closed form that carries the Gaussian of each class over; nothing is learned on top",
    "ridge": "a linear map fitted to pairs by ridge regression",
    "procrustes": "a rotation fitted to pairs (orthogonal Procrustes)",
}
"""What the recipes that come with ltzoo do."""

AS_MUCH = 1.25
"""Spreads within this factor of 1 are called equal."""

MOST_CLASSES = 12


def explanation_lines(explained: Explained) -> list[str]:
    """The whole explanation."""
    lines = [summary(explained), "", "What it joins"]
    lines += [f"  {text}" for model in explained.models for text in _model_lines(model)]
    lines += ["", "How good it is"]
    for direction in explained.directions:
        lines.append(f"  {direction.source} -> {direction.target}")
        lines += [f"    {text}" for text in direction_words(explained, direction)]
    if explained.measuring:
        lines.append(f"  measured on held-out latents by: {explained.measuring}")
    else:
        lines.append(f"  to measure it: ltzoo eval {explained.reference}")
    if classes := _class_words(explained):
        lines += ["", "Which classes are the same", f"  {classes}"]
    lines += ["", "How it was trained", *(f"  {text}" for text in _training_lines(explained))]
    lines += ["", "Licences", *(f"  {text}" for text in _license_lines(explained))]
    lines += ["", "What is needed", *(f"  {text}" for text in _need_lines(explained))]
    lines += ["", "How to use it", *(f"  {text}" for text in _use_lines(explained))]
    return lines


def summary(explained: Explained) -> str:
    """What it is, in a sentence."""
    ids = [model.id for model in explained.models]
    joined = f"{', '.join(ids[:-1])} and {ids[-1]}"
    each = "the other" if len(ids) == 2 else "any other"
    return (
        f"{explained.reference} is a bridge: it joins {joined}, and turns latents of one into latents of {each}. "
        "The models themselves stay as they are."
    )


def accuracy_words(value: float) -> tuple[int, int]:
    """A share as so many of so many: of 100, or of 1000 near the ends, where 100 would hide what is missing."""
    total = 1000 if 0 < value < 0.01 or 0.99 < value < 1 else 100
    return round(value * total), total


def size_words(size: int | None) -> str:
    """Bytes for people."""
    if size is None:
        return "size unknown"
    return f"{size / 1e6:.1f} MB" if size >= 50_000 else f"{size / 1e3:.1f} kB"


def direction_words(explained: Explained, direction: ExplainedDirection) -> list[str]:
    """How good one direction is, a sentence each."""
    source, target = explained.model(direction.source), explained.model(direction.target)
    lines = list(_measured(direction.figures, source, target))
    if not lines:
        lines.append("Nobody has measured it.")
    if direction.command is None:
        blocked = [m.id for m, verb in ((source, "encode"), (target, "decode")) if not m.can(verb)]
        lines.append(
            f"{' and '.join(blocked)} cannot {'encode' if source.id in blocked else 'decode'}: latents only"
            + (", or --invert." if source.id in blocked else ".")
        )
    return lines


def _measured(figures: dict[str, float], source: ExplainedModel, target: ExplainedModel) -> Iterator[str]:
    accuracy = figures.get("transfer_accuracy")
    if accuracy is not None:
        right, total = accuracy_words(accuracy)
        text = f"Of {total} {source.items}, {right} become {target.items} of the right class"
        share = figures.get("transfer_accuracy_share")
        if share:
            ceiling, of = accuracy_words(min(1.0, accuracy / share))
            text += f"; of the model's own {target.items}, the judge reads {ceiling} in {of} right"
        yield text + "."
    back, kept = figures.get("cycle_accuracy"), figures.get("noisy_cycle_r2", figures.get("cycle_r2"))
    if back is not None:
        right, total = accuracy_words(back)
        yield f"Translated there and back, {right} of {total} keep their class."
    if kept is not None:
        yield f"Of what makes each one different from the others, {max(0, round(100 * kept))} % comes back."
    if (spread := figures.get("spread")) is not None:
        yield f"Results of a class vary {_spread_words(spread)} the model's own {target.items} do."
    if (overlap := figures.get("neighbourhood_overlap")) is not None:
        near = round(10 * overlap)
        yield f"Of an item's ten nearest neighbours, {near} {'is' if near == 1 else 'are'} still among them afterwards."
    if (explained := figures.get("paired_r2")) is not None:
        yield f"It foretells {max(0, round(100 * explained))} % of how true counterparts vary."
    if (first := figures.get("top1_retrieval")) is not None:
        right, total = accuracy_words(first)
        yield f"In {right} of {total} cases the true counterpart is the one nearest to the result."


def _spread_words(spread: float) -> str:
    if 1 / AS_MUCH <= spread <= AS_MUCH:
        return "as much as"
    if spread > 1:
        return f"{spread:.1f} times as much as"
    return f"less ({spread:.2f} times as much) than"


def _model_lines(model: ExplainedModel) -> Iterator[str]:
    if model.title is None:
        family = ":" in model.id
        yield f"{model.id}: {'a member of an open family' if family else 'its plugin is not installed'}"
        return
    yield f"{model.id}: {model.title}"
    yield f"  {model.modality}; latents: {model.latent}; can {', '.join(model.capabilities or ())}"


def _class_words(explained: Explained) -> str | None:
    """Which names stand for one class, where they differ."""
    differing = [names for names in explained.classes if len(set(names)) > 1]
    if not differing:
        return None
    shown = [" = ".join(names) for names in differing[:MOST_CLASSES]]
    more = len(differing) - len(shown)
    return "; ".join(shown) + (f"; and {more} more" if more else "")


def _training_lines(explained: Explained) -> Iterator[str]:
    what = RECIPES.get(explained.recipe, "a recipe of its maker's own")
    yield f"recipe {explained.recipe}: {what}"
    if explained.trained_on:
        counts = [f"{items} latents of {model}" for model, items in explained.trained_on.items()]
        yield f"on {', '.join(counts)}" + (f"; {explained.pairs} pairs" if explained.pairs else "")
    yield f"{explained.date}, by: {explained.training or 'an unknown command'}"


def _license_lines(explained: Explained) -> Iterator[str]:
    yield f"the bridge: {explained.license or 'see its card'}"
    for model in explained.models:
        yield f"{model.id}: {model.license or 'not known here'}"
    if explained.data_licenses:
        yield f"data behind the latents: {', '.join(explained.data_licenses)}"


def _need_lines(explained: Explained) -> Iterator[str]:
    yield f"the bridge: {size_words(explained.size)}"
    for model in explained.models:
        yield f"weights of {model.id}: {size_words(model.size) if model.size != 0 else 'none'}"
    for need in explained.needs:
        status = {"ok": "installed", None: "not installed"}.get(need.status, f"installed, but {need.status}")
        yield f"{need.package or f'the plugin of {need.serves}'}: {status}"


def _use_lines(explained: Explained) -> Iterator[str]:
    if missing := [need.package for need in explained.needs if need.status is None and need.package]:
        yield f"ltzoo install {shlex.join(missing)}"
    if any(need.status not in ("ok", None) for need in explained.needs):
        yield "ltzoo plugins --check"
    commands = [direction.command for direction in explained.directions if direction.command]
    if len(explained.models) == 2:
        yield from commands
    elif commands:
        yield commands[0]
        yield "and so between any of its models that can encode and any that can decode"
    if not commands:
        yield "none of its models can encode while another can decode: use latents, in Python"
