"""Whether a bridge is what it is said to be: its files, its config, its weights, its models, its golden outputs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ltzoo.bridge.bridge import Bridge
from ltzoo.bridge.files import bridge_files
from ltzoo.bridge.golden import GOLDEN, TOLERANCE, golden_difference
from ltzoo.errors import BridgeError, IntegrityError, LatentsError, LtzooError, SpecError
from ltzoo.references import reference_kind
from ltzoo.zoo import default_zoo

__all__ = ["Check", "verify_bridge"]

HASHES = {
    "id": "as the registry's row says",
    "hub": "as the Hub announced them",
    "local": "nothing to compare their hashes with",
}


@dataclass(frozen=True)
class Check:
    """One thing that was looked at.

    Attributes:
        name: What.
        found: What was found, for people.
        error: Why it is wrong; None if it is not.
    """

    name: str
    found: str
    error: LtzooError | None = None


def verify_bridge(reference: str) -> Iterator[Check]:
    """Looks at everything that can be wrong with a bridge.

    Args:
        reference: A registry's id, ``hf:org/repo@commit`` or ``local:PATH``.

    Yields:
        What was found, in order. After files or weights that are wrong nothing more can be looked at.

    Raises:
        UnknownBridgeError: There is no such bridge.
        OfflineError, HubError: Its files cannot be fetched.
    """
    paths: list[Path] = []

    def files() -> str:
        paths.extend(bridge_files(reference))
        size = sum(path.stat().st_size for path in paths)
        names = ", ".join(path.name for path in paths)
        return f"{names}: {size:,} bytes, {HASHES[reference_kind(reference)]}"

    check = _checked("files", files)
    yield check
    if check.error:
        return
    folder = paths[0].parent
    loaded: list[Bridge] = []

    def weights() -> str:
        loaded.append(Bridge.from_pretrained(folder))
        numbers = sum(tensor.numel() for tensor in loaded[0].network.state_dict().values())
        return f"config valid, {numbers:,} finite numbers of the shapes that it asks for"

    check = _checked("weights", weights)
    yield check
    if check.error:
        return
    (bridge,) = loaded
    yield _checked("models", lambda: _models(bridge))
    golden = folder / GOLDEN
    if golden in paths:
        yield _checked("golden", lambda: _golden(bridge, golden))
    else:
        yield Check("golden", "none to compare with")


def _checked(name: str, look: Callable[[], str]) -> Check:
    try:
        return Check(name, look())
    except (BridgeError, IntegrityError, LatentsError, SpecError) as error:
        return Check(name, str(error), error)


def _models(bridge: Bridge) -> str:
    installed = default_zoo().models
    having = [model for model in bridge.models if model in installed]
    bridge.check_models(installed[model] for model in having)
    missing = [model for model in bridge.models if model not in installed]
    words = [f"{', '.join(having)}: the weights that it was trained on"] if having else []
    return "; ".join([*words, *([f"not installed: {', '.join(missing)}"] if missing else [])])


def _golden(bridge: Bridge, path: Path) -> str:
    header, difference = golden_difference(bridge, path)
    where = f"those of ltzoo {header.ltzoo}, torch {header.torch}"
    if difference > TOLERANCE:
        raise IntegrityError(
            f"translations differ by {difference:.2g} of the largest number from {where}",
            hint="the bridge's files do not belong together, or this ltzoo computes something else: report it",
        )
    return f"translations within {difference:.1g} of {where}"
