"""A network of transformers, from files whose hashes have been checked."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import torch

from ltzoo.errors import IntegrityError
from ltzoo.hub import resolve_file
from ltzoo.spec import ModelSpec
from ltzoo_transformers.config import CONFIG

__all__ = ["load_network", "open_files"]


def open_files(spec: ModelSpec) -> tuple[Path, dict[str, Any]]:
    """The folder of the spec's files, all of them checked, and the content of its config."""
    paths = [resolve_file(spec.source, file.name) for file in spec.source.files]
    return paths[0].parent, json.loads(paths[0].read_bytes())


def load_network(cls: str, folder: Path, spec: ModelSpec) -> Any:
    """The network, in float32, frozen.

    Args:
        cls: Name of its class.
        folder: Holds its files.
        spec: The model's, for messages.

    Raises:
        IntegrityError: The weights are not what the config asks for, or transformers lacks the class.
    """
    with warnings.catch_warnings():
        # Of libraries that transformers would use if they were there, and of its own older names.
        warnings.simplefilter("ignore")
        import transformers
        from transformers.utils import logging

        if not hasattr(transformers, cls):
            raise IntegrityError(
                f"{spec.id}: needs {cls}, which transformers {transformers.__version__} does not have",
                hint="ltzoo install -U transformers",
            )
        level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
        # What is wrong is said below, in one line.
        logging.set_verbosity(logging.CRITICAL)
        logging.disable_progress_bar()
        try:
            network, loading = getattr(transformers, cls).from_pretrained(
                str(folder),
                use_safetensors=True,
                local_files_only=True,
                dtype=torch.float32,
                variant="fp16" if any(".fp16." in file.name for file in spec.source.files) else None,
                output_loading_info=True,
            )
        except (RuntimeError, ValueError, OSError, TypeError, AssertionError, KeyError) as error:
            first = next(
                (line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__
            )
            raise IntegrityError(
                f"{spec.id}: its weights and its {CONFIG} do not go together: {first[:300]}"
            ) from error
        finally:
            logging.set_verbosity(level)
            if bars:
                logging.enable_progress_bar()
    if missing := loading["missing_keys"]:
        raise IntegrityError(
            f"{spec.id}: its weights lack {len(missing)} tensors that its {CONFIG} asks for, among them {min(missing)}"
        )
    return network.requires_grad_(False).eval()
