"""Several processes that train one bridge: each runs the network on its share of a batch's rows.

Terms of the objective compare whole batches: the sliced Wasserstein distance sorts over all rows. So the loss is not
split. Every process draws the same batch and the same noise, which depend on seed and step alone, and computes the whole
loss; only the network's calls are shared. The sum of the processes' gradients is the gradient of that loss.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ltzoo.bridge.based import BasedAutoencoder
from ltzoo.bridge.network import BridgeNetwork
from ltzoo.distributed import World
from ltzoo.errors import TrainingError

if TYPE_CHECKING:
    from ltzoo.bridge.sampling import TrainingSet

__all__ = [
    "ShardedNetwork",
    "check_same",
    "copy_main",
    "counted_once",
    "share_guesses",
    "share_of_rows",
    "told_by_main",
]


class ShardedNetwork:
    """What the objective asks of a network, each call shared among the processes.

    All must make the same calls on the same rows, in the same order; each gets the whole result. Backward, a parameter
    gets what comes from the process's own rows, and a tensor that a call was given gets its whole gradient, so that
    the rows may be put in any order between one call and the next.

    Args:
        network: The network; the same weights in every process.
        world: The processes.

    Attributes:
        architecture: Of the network.
    """

    def __init__(self, network: BridgeNetwork, world: World) -> None:
        self.architecture = network.architecture
        self._network = network
        self._world = world

    def encode(self, x: Tensor, end: int, *, known: bool = False) -> tuple[Tensor, Tensor]:
        """See `BridgeNetwork.encode`."""
        both = self._whole(x, lambda rows: torch.cat(self._network.encode(rows, end, known=known), dim=1))
        mean, std = both.chunk(2, dim=1)
        return mean, std

    def decode(self, shared: Tensor, end: int, *, known: bool = False) -> Tensor:
        """See `BridgeNetwork.decode`."""
        return self._whole(shared, lambda rows: self._network.decode(rows, end, known=known))

    def class_logits(self, shared: Tensor) -> Tensor:
        """See `BridgeNetwork.class_logits`."""
        return self._whole(shared, self._network.class_logits)

    def inference_logits(self, x: Tensor, end: int) -> Tensor:
        """See `BasedAutoencoder.inference_logits`; only on a base."""
        network = self._network
        assert isinstance(network, BasedAutoencoder)
        return self._whole(x, lambda rows: network.inference_logits(rows, end))

    def _whole(self, x: Tensor, call: Callable[[Tensor], Tensor]) -> Tensor:
        first, stop = share_of_rows(len(x), self.architecture.classes, self._world)
        own: Tensor = _Share.apply(x, first, stop, self._world)  # type: ignore[no-untyped-call]
        result: Tensor = _Gather.apply(call(own), first, len(x), self._world)  # type: ignore[no-untyped-call]
        return result


def share_of_rows(rows: int, classes: int, world: World) -> tuple[int, int]:
    """This process's rows, ``(first, stop)``; there may be none.

    Rows whose classes come in turn are cut between two turns, since that is how the network knows their classes.
    """
    unit = classes if classes and rows % classes == 0 else 1
    first, stop = (rows // unit * rank // world.size * unit for rank in (world.rank, world.rank + 1))
    return first, stop


class _Share(torch.autograd.Function):
    """Rows ``first`` to ``stop`` of a tensor that all processes have; its gradient is put together from theirs."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, first: int, stop: int, world: World) -> Tensor:
        ctx.place = (first, len(x), world)
        return x[first:stop].clone()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        return _gathered(grads[0], *ctx.place), None, None, None


class _Gather(torch.autograd.Function):
    """All processes' rows, of which this one has those from ``first`` on; backward, it takes its own."""

    @staticmethod
    def forward(ctx: Any, own: Tensor, first: int, total: int, world: World) -> Tensor:
        ctx.place = slice(first, first + len(own))
        return _gathered(own, first, total, world)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        return grads[0][ctx.place], None, None, None


def _gathered(own: Tensor, first: int, total: int, world: World) -> Tensor:
    # Zeros elsewhere, and a sum: shares may be uneven, and gloo and NCCL both have it. Adding zeros changes no bit.
    whole = own.new_zeros(total, *own.shape[1:])
    whole[first : first + len(own)] = own
    world.sum_([whole])
    return whole


def counted_once(term: Tensor, world: World) -> Tensor:
    """A term that every process has computed whole, so that the sum of their gradients has it once."""
    return term if world.size == 1 else term.detach() + (term - term.detach()) / world.size


def check_same(world: World, run: str) -> None:
    """Makes sure that all processes train the same bridge.

    Args:
        world: The processes; all must call this.
        run: What this one is about to do.

    Raises:
        TrainingError: The main process is about to do something else.
    """
    if told_by_main(world, "run", run) != run:
        raise TrainingError(
            f"process {world.rank} would train another bridge than process 0",
            hint="give all processes the same arguments and data",
        )


def told_by_main(world: World, name: str, text: str) -> str:
    """What the main process says, as every process hears it; the others' own text counts for nothing.

    Args:
        world: The processes; all must call this.
        name: Of the text; another one than in the last call.
        text: What the main process says.
    """
    if world.is_main:
        world.publish(name, text)
    world.barrier()
    return text if world.is_main else world.published(name)[0]


def copy_main(world: World, tensors: Iterable[Tensor]) -> None:
    """Replaces the tensors, all of one dtype and device, by the main process's."""
    tensors = list(tensors)
    if not tensors:
        return
    if not world.is_main:
        with torch.no_grad():
            for tensor in tensors:
                tensor.zero_()
    world.sum_(tensors)


def share_guesses(world: World, sets: Sequence[TrainingSet]) -> None:
    """Gives unlabelled latents the classes that the main process has inferred for them.

    Others might come to another conclusion, where a probability is close to the least that is believed.
    """
    for data in sets:
        if not len(data.rest):
            continue
        classes = torch.full((len(data),), -1)
        for label, rows in enumerate(data.groups):
            classes[torch.from_numpy(rows)] = label
        copy_main(world, [classes])
        guessed = classes.numpy()[data.rest]
        data.guess([data.rest[guessed == label] for label in range(len(data.groups))])
