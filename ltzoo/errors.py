"""Every error that ltzoo raises on purpose, and the exit code each one ends a command with.

::

    LtzooError                      1  failed
    ├── UsageError                  2  the request makes no sense as it stands
    │   ├── UnknownModelError       2  no model of that id (also a KeyError)
    │   ├── UnknownBridgeError      2  no bridge of that reference (also a KeyError)
    │   ├── UnknownPluginError      2  no plugin of that name (also a KeyError)
    │   └── CapabilityError         2  the model cannot do that (a GAN cannot encode)
    ├── SpecError                   1  a spec, config or registry row is not valid (also a ValueError)
    ├── PluginError                 3  a plugin that is needed is broken
    │   └── PluginMissingError      3  a plugin that is needed is not installed
    ├── MediaError                  1  an input or output file cannot be read or written
    ├── LatentsError                1  latents are malformed or do not fit the model
    ├── BridgeError                 1  a bridge is malformed, or does not join those models
    ├── TrainingError               1  training cannot start or go on
    ├── ElsewhereError              1  another process of this run failed, and says why
    ├── HubError                    1  the Hugging Face Hub answered with an error
    │   ├── NoSuchFileError         1  a repository lacks a file
    │   └── OfflineError            4  not cached, and the Hub cannot be reached
    └── IntegrityError              5  a file is not what it should be
        └── FingerprintError        5  a bridge was trained on other weights than those at hand

``str(error)`` says what is wrong and where; ``error.hint``, where there is one, is the command or
change that mends it. The command line prints both in one line.
"""

from __future__ import annotations

from enum import IntEnum
from typing import ClassVar

__all__ = [
    "BridgeError",
    "CapabilityError",
    "ElsewhereError",
    "ExitCode",
    "FingerprintError",
    "HubError",
    "IntegrityError",
    "LatentsError",
    "LtzooError",
    "MediaError",
    "NoSuchFileError",
    "OfflineError",
    "PluginError",
    "PluginMissingError",
    "SpecError",
    "TrainingError",
    "UnknownBridgeError",
    "UnknownModelError",
    "UnknownPluginError",
    "UsageError",
]


class ExitCode(IntEnum):
    """What a command's exit code means; part of the public interface."""

    OK = 0
    FAILED = 1
    USAGE = 2
    PLUGIN = 3
    OFFLINE = 4
    INTEGRITY = 5
    INTERRUPTED = 130


class LtzooError(Exception):
    """The root of the tree: catch it to catch everything that ltzoo raises on purpose.

    Args:
        message: What is wrong and where, as one sentence without a full stop.
        hint: The command or change that mends it.
    """

    exit_code: ClassVar[ExitCode] = ExitCode.FAILED

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        # KeyError, which some subclasses also derive from, would print the repr of the message.
        return self.message


class UsageError(LtzooError):
    """The request makes no sense as it stands: a wrong option, or options that contradict."""

    exit_code = ExitCode.USAGE


class UnknownModelError(UsageError, KeyError):
    """No installed plugin serves a model of that id, and no known plugin would."""


class UnknownBridgeError(UsageError, KeyError):
    """No registry lists a bridge of that id, or the reference is not in one of the known forms."""


class UnknownPluginError(UsageError, KeyError):
    """No plugin of that name is installed."""


class CapabilityError(UsageError):
    """The model has no adapter for what was asked: a GAN cannot encode, a text encoder cannot decode."""


class SpecError(LtzooError, ValueError):
    """A spec, a bridge's config or a registry row is not valid."""


class PluginError(LtzooError):
    """A plugin that is needed is installed but broken."""

    exit_code = ExitCode.PLUGIN


class PluginMissingError(PluginError):
    """A plugin that is needed is not installed; the hint is the install command."""


class MediaError(LtzooError):
    """An image, sound, text or array cannot be read, converted to what the model takes, or written."""


class LatentsError(LtzooError):
    """Latents are malformed or do not fit the model they are given to."""


class BridgeError(LtzooError):
    """A bridge's files are malformed, or the bridge does not join the models that it is asked to."""


class TrainingError(LtzooError):
    """Training cannot start, or cannot go on, with the data at hand."""


class ElsewhereError(LtzooError):
    """Another of the processes that do one job failed first; that one says why."""


class HubError(LtzooError):
    """The Hugging Face Hub answered with an error."""


class NoSuchFileError(HubError):
    """A repository of the Hub lacks a file."""


class OfflineError(HubError):
    """A file is not cached and the Hub cannot be reached, or must not be."""

    exit_code = ExitCode.OFFLINE


class IntegrityError(LtzooError):
    """A file is not what its hash, header or specification says; ltzoo refuses to use it."""

    exit_code = ExitCode.INTEGRITY


class FingerprintError(IntegrityError):
    """A bridge or a latent set was made with other weights than the model at hand has."""
