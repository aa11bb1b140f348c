"""Ctrl-C in training: the step at hand is ended first, and several processes stop after the same one."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from ltzoo.distributed import World

__all__ = ["Interruption"]


class Interruption:
    """Whether training has been interrupted; several processes agree on it.

    Args:
        world: The processes.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self._asked = False
        self._agreed = False

    @property
    def agreed(self) -> bool:
        """Whether to stop now. Of several processes, all say the same after the same exchange."""
        return self._asked if self._world.size == 1 else self._agreed

    def sum_(self, tensors: Sequence[Tensor]) -> None:
        """Replaces the tensors by their sums over all processes (`World.sum_`), which agree at the same time.

        Args:
            tensors: At least one, all of one dtype and device.
        """
        if self._world.size == 1:
            return
        asked = tensors[0].new_tensor([float(self._asked)])
        self._world.sum_([asked, *tensors])
        self._agreed = self._agreed or bool(asked > 0)

    def settle(self) -> bool:
        """Agrees once more, at the end; gives the outcome."""
        self.sum_([torch.zeros(1)])
        return self.agreed

    @contextmanager
    def deferred(self) -> Iterator[None]:
        """Takes note of the first Ctrl-C, so that it cannot hit in the middle of a step.

        A second Ctrl-C interrupts at once. With several processes that is so for SIGTERM too, by which their
        launcher ends them. Nothing changes outside the main thread, or for a signal that the program handles in its
        own way.
        """
        usual: dict[signal.Signals, Any] = {signal.SIGINT: signal.default_int_handler}
        if self._world.size > 1:
            usual[signal.SIGTERM] = signal.SIG_DFL
        ours = {}
        if threading.current_thread() is threading.main_thread():
            ours = {number: way for number, way in usual.items() if signal.getsignal(number) is way}

        def handle(signum: int, frame: object) -> None:
            del frame
            self._asked = True
            signal.signal(signum, ours[signal.Signals(signum)])

        for number in ours:
            signal.signal(number, handle)
        try:
            yield
        finally:
            for number, way in ours.items():
                signal.signal(number, way)
