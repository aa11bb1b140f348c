"""Finding and loading plugins, so that one slow or broken plugin never hurts the rest.

Three tiers: entry-point metadata (`PluginHost.found`), the light import of plugin modules and their
hooks (`PluginHost.call`), and loaders, which are none of this module's business.

pluggy checks hook implementations here, but does not call them: a raising implementation would abort
the whole hook call and lose what the plugins after it returned.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import io
import re
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from importlib.metadata import EntryPoint
from typing import Any, Literal

import pluggy

from ltzoo import hookspecs
from ltzoo.distributed import is_main
from ltzoo.errors import PluginError, UnknownPluginError
from ltzoo.settings import setting, setting_list

__all__ = ["COMMAND_GROUP", "PLUGIN_GROUP", "PluginHost", "PluginInfo", "Status", "normalize_name", "warn"]

PLUGIN_GROUP = "ltzoo"
COMMAND_GROUP = "ltzoo.commands"

Status = Literal["ok", "failed", "blocked", "conflict", "incompatible"]


@dataclass
class PluginInfo:
    """What is known of one plugin.

    Attributes:
        name: Name of the entry point, which is the namespace of the plugin's models.
        distribution: Name of the installed package.
        version: Version of the package.
        module: The module that the entry point names.
        status: ``ok``; ``failed`` (it raised); ``blocked`` (the user disabled it); ``conflict`` (it
            takes a name or namespace that belongs to another); ``incompatible`` (it asks for another
            version of ltzoo).
        error: The cause, where the status is not ``ok``.
        warning: What is wrong with a plugin that works all the same.
        hooks: The hooks that it implements; empty until it is imported.
        import_ms: How long its import took, in milliseconds; None until it is imported.
        requires: What the package requires, from its metadata.
        entry_point: Where it was found.
    """

    name: str
    distribution: str
    version: str
    module: str
    status: Status = "ok"
    error: str | None = None
    warning: str | None = None
    hooks: tuple[str, ...] = ()
    import_ms: float | None = None
    requires: tuple[str, ...] = ()
    entry_point: EntryPoint | None = field(default=None, repr=False)

    @property
    def remedy(self) -> str:
        """The command that takes the plugin out of the way."""
        return f"ltzoo uninstall {self.distribution}, or LTZOO_DISABLE_PLUGINS={self.name}"


def warn(text: str) -> None:
    """Logs one line. Where nobody has configured logging it goes to stderr as it is, hence the prefix."""
    import logging  # only here: the light commands are measured in milliseconds

    if not is_main():
        return
    logging.getLogger("ltzoo").warning("ltzoo: %s", text)


def normalize_name(name: str) -> str:
    """A distribution's name as the package index compares it: ``Ltzoo_Foo`` is ``ltzoo-foo``."""
    return re.sub(r"[-_.]+", "-", name).lower()


class PluginHost:
    """The plugins of one process.

    Args:
        entry_points: The entry points to look at; those of the installed packages by default.
        allow: Names of the only plugins to load; None for all.
        block: Names of plugins that are not to be loaded.
        strict: Raise `PluginError` at the first fault rather than go on without the plugin.
    """

    def __init__(
        self,
        entry_points: Iterable[EntryPoint] | None = None,
        *,
        allow: Iterable[str] | None = None,
        block: Iterable[str] = (),
        strict: bool = False,
    ) -> None:
        self._entry_points = entry_points
        self._allow = None if allow is None else set(allow)
        self._block = set(block)
        self._strict = strict

    @classmethod
    def from_settings(cls, *, block: Iterable[str] = (), block_all: bool = False) -> PluginHost:
        """A host that heeds ``LTZOO_PLUGINS``, ``LTZOO_DISABLE_PLUGINS`` and ``LTZOO_STRICT_PLUGINS``."""
        return cls(
            allow=() if block_all else setting_list("plugins"),
            block={*(setting_list("disable_plugins") or ()), *block},
            strict=setting("strict_plugins"),
        )

    @cached_property
    def found(self) -> list[PluginInfo]:
        """Every installed plugin in order of name, from metadata alone: nothing of it is imported.

        Raises:
            UnknownPluginError: A plugin to be allowed or blocked is not installed.
        """
        infos = sorted(self._scan(), key=lambda info: (info.name, info.distribution))
        self._check_names(infos)
        for info in infos:
            same = [other for other in infos if other.name == info.name]
            if self._is_blocked(info):
                info.status, info.error = (
                    "blocked",
                    "disabled by LTZOO_PLUGINS, LTZOO_DISABLE_PLUGINS or --no-plugins",
                )
            elif len(same) > 1 and normalize_name(info.distribution) != f"ltzoo-{info.name}":
                others = ", ".join(o.distribution for o in same if o is not info)
                info.status, info.error = "conflict", f"the name '{info.name}' is also taken by {others}"
            elif cause := _incompatibility(info):
                info.status, info.error = "incompatible", cause
        return infos

    @property
    def infos(self) -> list[PluginInfo]:
        """Every installed plugin, after the light import: status, cause, hooks, time."""
        _ = self._manager
        return self.found

    def info(self, name: str) -> PluginInfo | None:
        """The plugin of that name, from metadata alone; the working one if several share the name."""
        same = [info for info in self.found if info.name == name]
        return min(same, key=lambda info: info.status != "ok", default=None)

    def fail(self, info: PluginInfo, cause: str, *, status: Status = "failed") -> None:
        """Takes a plugin out of service, records why and says so in one line.

        Raises:
            PluginError: The host is strict.
        """
        info.status, info.error = status, cause
        label = f"plugin '{info.name}' ({info.distribution} {info.version})"
        if self._strict:
            raise PluginError(f"{label}: {cause}", hint=info.remedy)
        warn(f"{label} is left out: {cause}; to mend: {info.remedy}")

    def call(
        self, hook: str, *, only: str | None = None, answers: type[Exception] | None = None, **arguments: Any
    ) -> Iterator[tuple[PluginInfo, Any]]:
        """Calls one hook on every working plugin, each on its own, in order of name.

        Args:
            hook: Name of the hook.
            only: Name of the only plugin to ask.
            answers: Errors of this kind are what the plugin has to say, and are raised; others are its faults.
            arguments: All the arguments of the hook; each plugin gets those that it names.

        Yields:
            The plugin and what it returned; an iterable is a list by then, so that a generator's
            faults are its plugin's too.
        """
        impls = {impl.plugin_name: impl for impl in getattr(self._manager.hook, hook).get_hookimpls()}
        for info in self.found:
            impl = impls.get(info.name)
            if info.status != "ok" or impl is None or only not in (None, info.name):
                continue
            try:
                with _stdout_captured(info):
                    result = impl.function(*(arguments[name] for name in impl.argnames))
                    if isinstance(result, Iterable) and not isinstance(result, str):
                        result = list(result)
            except (Exception, SystemExit) as error:
                if answers is not None and isinstance(error, answers):
                    raise
                self.fail(info, f"{hook}() raised {_describe(error)}")
                continue
            yield info, result

    def _scan(self) -> Iterator[PluginInfo]:
        seen = set()
        entry_points = self._entry_points
        if entry_points is None:
            entry_points = importlib.metadata.entry_points(group=PLUGIN_GROUP)
        for entry_point in entry_points:
            # Asking the distribution itself would parse its metadata, README and all, once a question.
            metadata: Any = entry_point.dist.metadata if entry_point.dist else None
            name, version = (metadata[key] if metadata else "unknown" for key in ("Name", "Version"))
            # An editable install can show the same distribution twice (egg-info and dist-info).
            key = (normalize_name(name), entry_point.name, entry_point.value)
            if key not in seen:
                seen.add(key)
                requires = tuple(metadata.get_all("Requires-Dist", ())) if metadata else ()
                yield PluginInfo(
                    entry_point.name,
                    name,
                    version,
                    entry_point.module,
                    requires=requires,
                    entry_point=entry_point,
                )

    def _check_names(self, infos: list[PluginInfo]) -> None:
        known = {name for info in infos for name in (info.name, normalize_name(info.distribution))}
        for name in sorted((self._allow or set()) | self._block):
            if name not in known and normalize_name(name) not in known:
                raise UnknownPluginError(f"no plugin '{name}' is installed", hint="ltzoo plugins")

    def _is_blocked(self, info: PluginInfo) -> bool:
        names = {info.name, info.distribution, normalize_name(info.distribution)}
        return bool(names & self._block) or (self._allow is not None and not names & self._allow)

    @cached_property
    def _manager(self) -> pluggy.PluginManager:
        """The plugins imported and their hooks checked, but for those that something speaks against."""
        manager = pluggy.PluginManager("ltzoo")
        manager.add_hookspecs(hookspecs)
        for info in self.found:
            if info.status in ("conflict", "incompatible"):
                self.fail(info, info.error or "", status=info.status)
            if info.status != "ok" or info.entry_point is None:
                continue
            start = time.perf_counter()
            try:
                with _stdout_captured(info):
                    module = info.entry_point.load()
            except (Exception, SystemExit) as error:
                self.fail(info, f"importing {info.module} raised {_describe(error)}")
                continue
            finally:
                info.import_ms = round((time.perf_counter() - start) * 1000, 1)
            try:
                manager.register(module, name=info.name)
                manager.check_pending()
            except (pluggy.PluginValidationError, ValueError) as error:
                if manager.has_plugin(info.name):
                    manager.unregister(name=info.name)
                # pluggy begins with the plugin's name on a line of its own.
                self.fail(info, " ".join(str(error).split("\n", 1)[-1].split()) or str(error))
                continue
            info.hooks = tuple(sorted(caller.name for caller in manager.get_hookcallers(module) or ()))
        return manager


def _incompatibility(info: PluginInfo) -> str | None:
    """Why the plugin's package does not go with this version of ltzoo, from its metadata."""
    for text in info.requires:
        found = re.fullmatch(r"ltzoo\s*\(?([<>=!~][^;\[\]()]*)\)?", text, re.IGNORECASE)
        if not found:
            continue  # another package, no bounds, or bounds that depend on an extra or a platform
        from ltzoo import __version__

        plain = re.fullmatch(r">=\s*([\d.]+)", found[1].strip())
        if plain and re.fullmatch(r"[\d.]+", __version__) and _release(plain[1]) <= _release(__version__):
            continue  # the common case; importing packaging would double what all plugins cost
        from packaging.specifiers import InvalidSpecifier, SpecifierSet

        try:
            bounds = SpecifierSet(found[1])
        except InvalidSpecifier:
            return f"its requirement '{text}' cannot be read"
        if not bounds.contains(__version__, prereleases=True):
            return f"it needs ltzoo {bounds}, and this is {__version__}"
    return None


def _release(version: str) -> list[int]:
    """The numbers of a plain version, without zeros at the end: 1.0 and 1.0.0 are the same."""
    return [int(part) for part in version.strip(".").removesuffix(".0").removesuffix(".0").split(".") if part]


def _describe(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


@contextlib.contextmanager
def _stdout_captured(info: PluginInfo) -> Iterator[None]:
    """Keeps what a plugin prints away from stdout, which carries data only."""
    buffer = io.StringIO()
    try:
        with contextlib.redirect_stdout(buffer):
            yield
    finally:
        if text := " ".join(buffer.getvalue().split()):
            info.warning = f"printed to stdout: {text[:80]}"
