"""Networks of libraries that keep them as a config beside weights, for plugins of open families. Torch-free."""

from __future__ import annotations

import importlib
import json
import warnings
from pathlib import Path
from typing import Any

from ltzoo.errors import IntegrityError
from ltzoo.hub import resolve_file
from ltzoo.spec import ModelSpec

__all__ = ["load_pretrained", "open_checkpoint"]

LONGEST = 300
"""Characters of a library's own message that are shown."""


def open_checkpoint(spec: ModelSpec) -> tuple[Path, dict[str, Any]]:
    """The folder of a spec's files, all of them checked, and the content of its config, which comes first.

    Raises:
        LtzooError: As `ltzoo.hub.resolve_file`.
    """
    paths = [resolve_file(spec.source, file.name) for file in spec.source.files]
    return paths[0].parent, json.loads(paths[0].read_bytes())


def load_pretrained(library: str, cls: str, folder: Path, spec: ModelSpec, **options: Any) -> Any:
    """A network by the library's own ``from_pretrained``, from safetensors only, frozen; nothing is fetched.

    Args:
        library: ``diffusers`` or ``transformers``, or one with the same ``utils.logging``. It is imported here.
        cls: Name of a class of it.
        folder: Holds config and weights.
        spec: The model's.
        options: More for ``from_pretrained``.

    Raises:
        IntegrityError: The library lacks the class, or the weights are not what the config asks for.
    """
    with warnings.catch_warnings():
        # Of packages that the library would use if they were there, and of its own older names.
        warnings.simplefilter("ignore")
        module = importlib.import_module(library)
        logging = importlib.import_module(f"{library}.utils.logging")
        if not hasattr(module, cls):
            raise IntegrityError(
                f"{spec.id}: needs {cls}, which {library} {module.__version__} does not have",
                hint=f"ltzoo install -U {library}",
            )
        level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
        # What is wrong is said below, in one line.
        logging.set_verbosity(logging.CRITICAL)
        logging.disable_progress_bar()
        try:
            network, loading = getattr(module, cls).from_pretrained(
                str(folder),
                use_safetensors=True,
                local_files_only=True,
                variant="fp16" if any(".fp16." in file.name for file in spec.source.files) else None,
                output_loading_info=True,
                **options,
            )
        except (RuntimeError, ValueError, OSError, TypeError, AssertionError, KeyError) as error:
            lines = [line.strip() for line in str(error).splitlines() if line.strip()]
            cause = lines[0] if lines else type(error).__name__
            raise IntegrityError(
                f"{spec.id}: its weights and its config.json do not go together: {cause[:LONGEST]}"
            ) from error
        finally:
            logging.set_verbosity(level)
            if bars:
                logging.enable_progress_bar()
    if missing := loading["missing_keys"]:
        raise IntegrityError(
            f"{spec.id}: its weights lack {len(missing)} tensors that its config.json asks for, "
            f"among them {min(missing)}"
        )
    return network.requires_grad_(False).eval()
