"""A Hugging Face Hub of the tests' own: on this machine, in memory, misbehaving on command.

It speaks what the installed ``huggingface_hub`` calls, and nothing else: the standard library, and PyYAML for
cards, which ``huggingface_hub`` brings. Xet storage is not spoken (its client is compiled and talks to servers
of its own): downloads never offer it, and for uploads the client is told not to use it (`HubEnvironment`).

    with TestHub() as hub:
        sha = hub.add("org/name", {"config.json": b"{}", "model.safetensors": weights}, tags=["v1"])
        hub.faults.add(Fault.TRUNCATE, match="*/model.safetensors", times=1)
        ...                                                    # a client talks to hub.endpoint
        hub.bytes_sent("org/name", "model.safetensors")

Modules: ``repositories`` (commits, branches, tags, pull requests), ``cards`` (what is read from a README.md),
``faults``, ``api`` and ``routes`` (which function answers at which address), ``reading``, ``writing``, ``files``
(what they answer), ``answers`` (requests, answers, refusals), ``wire`` (HTTP), ``server`` (`TestHub`), ``environment`` (points
a client at a hub, in this process and in others), ``guard`` (no connection may be opened).
"""

from .environment import HubEnvironment, closed_port
from .faults import Fault
from .guard import ConnectionForbidden, forbid_connections
from .repositories import Account
from .server import READER, WRITER, TestHub

__all__ = [
    "READER",
    "WRITER",
    "Account",
    "ConnectionForbidden",
    "Fault",
    "HubEnvironment",
    "TestHub",
    "closed_port",
    "forbid_connections",
]
