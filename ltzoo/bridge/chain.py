"""`BridgeChain`: bridges one after another, used like one; and loading the one that leads from model to model."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise, permutations

import torch
from torch import Tensor

from ltzoo.bridge.bridge import Bridge
from ltzoo.bridge.loading import load_bridge
from ltzoo.bridge.randomness import Purpose, check_seed, generator
from ltzoo.errors import BridgeError, FingerprintError
from ltzoo.routes import Hop, Route, accuracy_of, route_through
from ltzoo.spec import ModelSpec
from ltzoo.zoo import find_route

__all__ = ["BridgeChain", "load_chain"]


class BridgeChain:
    """The bridges of a route: translates from its first model to its last, hop by hop.

    Args:
        route: Which models it leads through.
        bridges: The bridge of each hop.

    Attributes:
        route: As given.
        bridges: As given.

    Raises:
        BridgeError: A bridge does not join the models of its hop, or there are not as many as hops.
        FingerprintError: Two bridges were trained on different weights of the model where they meet: what
            one gives means nothing to the other.
    """

    def __init__(self, route: Route, bridges: Sequence[Bridge]) -> None:
        if len(bridges) != len(route.hops):
            raise BridgeError(f"{len(bridges)} bridges for the {len(route.hops)} hops of {route}")
        self.route = route
        self.bridges = tuple(bridges)
        for bridge, hop in zip(self.bridges, route.hops, strict=True):
            bridge.index(hop.source)
            bridge.index(hop.target)
        links = zip(pairwise(self.bridges), pairwise(route.hops), strict=True)
        for (bridge, after), (hop, next_hop) in links:
            met = hop.target
            before, behind = (one.config.models[one.index(met)].fingerprint for one in (bridge, after))
            if before != behind:
                raise FingerprintError(
                    f"{hop.bridge} and {next_hop.bridge} were trained on different weights of {met} (fingerprints "
                    f"{before[:12]} and {behind[:12]}) and cannot follow each other",
                    hint="name other bridges with --bridge, each in turn",
                )

    def __repr__(self) -> str:
        return f"BridgeChain({self.route})"

    def check_models(self, specs: Iterable[ModelSpec]) -> None:
        """Makes sure that models at hand are the ones that the bridges were trained on.

        Raises:
            FingerprintError: A model has other weights than the one of that id that a bridge knows.
            BridgeError: The route does not lead through a model of that id.
        """
        for spec in specs:
            joining = [bridge for bridge in self.bridges if spec.id in bridge.models]
            if not joining:
                raise BridgeError(f"the route {self.route} does not lead through {spec.id}")
            for bridge in joining:
                bridge.check_models([spec])

    def translate(
        self, z: Tensor, *, source: str, target: str, sample: bool = False, seed: int | None = None
    ) -> Tensor:
        """Latents of ``target`` for latents of ``source``.

        Args:
            z: float ``(n, *source latent shape)``.
            source: Id of the first model of the route.
            target: Id of the last.
            sample: Draw the shared latent of every hop from its posterior instead of taking its mean.
            seed: Of that drawing; None for a new one every time. A route of one hop gives what its bridge
                gives for that seed.

        Returns:
            float32 ``(n, *target latent shape)``, on the device of ``z``.

        Raises:
            BridgeError: The route leads from or to other models.
            LatentsError: ``z`` has the wrong shape or is not finite.
            UsageError: The seed is out of range.
        """
        if (source, target) != (self.route.source, self.route.target):
            raise BridgeError(
                f"the route {self.route} does not lead from {source} to {target}",
                hint=f"load_chain('{source}', '{target}') finds one that does",
            )
        for index, (bridge, hop) in enumerate(zip(self.bridges, self.route.hops, strict=True)):
            z = bridge.translate(
                z, source=hop.source, target=hop.target, sample=sample, seed=_hop_seed(seed, index)
            )
        return z

    def novelty(self, z: Tensor, *, source: str) -> Tensor:
        """How far latents lie from what the first bridge was trained on; see `Bridge.novelty`."""
        return self.bridges[0].novelty(z, source=source)


def load_chain(
    source: str, target: str, *, bridges: Sequence[str] = (), device: str | torch.device = "cpu"
) -> BridgeChain:
    """Loads what translates from one model to another: one bridge, or several that lead there.

    Args:
        source: Id of the model to translate from.
        target: Id of the model to translate to.
        bridges: References of the bridges to use, in this order, as `load_bridge` takes them; where they
            can meet in several models, the expected accuracy decides. By default the best route through
            published bridges, as `ltzoo.find_route` finds it.
        device: Where the weights go.

    Raises:
        UnknownBridgeError: A bridge is not known, or no published bridges lead there.
        BridgeError: The given bridges do not lead there.
        FingerprintError: Bridges, or a bridge and an installed model, do not agree on a model's weights.
        LtzooError: As `load_bridge`.
    """
    route = None if bridges else find_route(source, target)
    loaded = [load_bridge(reference, device=device) for reference in (route.bridges if route else bridges)]
    return BridgeChain(route or _route_through(bridges, loaded, source, target), loaded)


def _route_through(references: Sequence[str], bridges: Sequence[Bridge], source: str, target: str) -> Route:
    """The route through given bridges."""
    bridges[0].index(source)
    bridges[-1].index(target)
    steps = [
        [
            Hop(bridge=reference, source=a, target=b, accuracy=accuracy_of(bridge.config.metrics, a, b))
            for a, b in permutations(bridge.models, 2)
        ]
        for reference, bridge in zip(references, bridges, strict=True)
    ]
    if len(bridges) == 1 and source == target:
        # There and back to the same model within one bridge: its reconstructions.
        return Route((Hop(bridge=references[0], source=source, target=target),))
    route = route_through(steps, source, target)
    if route is None:
        joined = "; ".join(
            f"{reference} joins {', '.join(bridge.models)}"
            for reference, bridge in zip(references, bridges, strict=True)
        )
        raise BridgeError(
            f"the bridges do not lead from {source} to {target} in this order: {joined}",
            hint="each --bridge must join a model of the one before it with another one",
        )
    return route


def _hop_seed(seed: int | None, hop: int) -> int | None:
    """A seed of its own for every hop: with the same one, the hops would draw the same numbers."""
    if seed is None or hop == 0:
        return seed
    check_seed(seed)
    return int(generator(seed, Purpose.TRANSLATION, hop).integers(2**63))
