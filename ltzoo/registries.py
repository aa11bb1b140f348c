"""The registries that the user chose: the list ``registry`` of the settings, read and changed."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ltzoo.errors import OfflineError, SpecError, UsageError
from ltzoo.plugins import warn
from ltzoo.references import HubReference, parse_hub_reference, reference_kind
from ltzoo.registry import REGISTRY_FILE, BridgeRow, Registry, RegistrySource, bundled_registry
from ltzoo.settings import append_entry, config_path, config_value, editing_list, setting_list
from ltzoo.suggestions import suggest

__all__ = [
    "RegistryUpdate",
    "add_registry",
    "configured_registries",
    "fetch_registry",
    "own_sources",
    "registry_source",
    "remove_registry",
    "update_registry",
]

SETTING = "registry"


@dataclass(frozen=True, kw_only=True)
class RegistryUpdate:
    """What became of a registry that was brought up to date.

    Attributes:
        old: The entry before.
        new: The source now.
        added: Ids of the bridges that are new in it.
        removed: Ids of those that are gone.
        changed: Ids of those with another row.
    """

    old: str
    new: RegistrySource
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()


def registry_source(entry: str) -> RegistrySource:
    """Where an entry of the setting leads: a path, or ``hf:org/repo@commit``.

    Raises:
        UsageError: It begins like a reference to the Hub, and is none.
        SpecError: The reference has no full commit.
    """
    if reference_kind(entry) != "hub":
        return RegistrySource(name=entry, path=Path(entry).expanduser())
    at = parse_hub_reference(entry)
    if not at.is_pinned:
        raise SpecError(f"registry {entry}: is not at a full commit", hint="ltzoo registry update")
    return RegistrySource(name=_name(at), repo=at.repo, revision=at.revision)


def own_sources() -> list[RegistrySource]:
    """The user's registries in order of precedence; what is not one is left out and said."""
    sources = []
    for entry in setting_list(SETTING) or ():
        try:
            sources.append(registry_source(entry))
        except (SpecError, UsageError) as error:
            warn(f"registry '{entry}' is left out: {error}; try: {error.hint}")
    return sources


def configured_registries() -> list[str]:
    """The entries of ``config.toml``, whatever the environment says."""
    return list(config_value(SETTING))


def fetch_registry(source: RegistrySource) -> Registry:
    """Reads and checks a registry, which is downloaded into the Hub's cache if it is not there.

    Raises:
        OfflineError, HubError, IntegrityError: It cannot be fetched.
        SpecError: It is no valid registry.
    """
    if source.repo is not None:
        from ltzoo.hub import fetch_file

        fetch_file(source.repo, source.revision or "", REGISTRY_FILE)
    return Registry.load(source)


def add_registry(entry: str) -> RegistrySource:
    """Checks a registry and puts it behind the others of ``config.toml``.

    Args:
        entry: A path, or ``hf:org/repo@commit``.

    Raises:
        UsageError: It is listed already.
        SpecError: It is no valid registry.
        OfflineError, HubError, IntegrityError: It cannot be fetched.
    """
    if reference_kind(entry) == "local":
        raise UsageError(f"'{entry}' is the reference of a bridge", hint="give the registry file's path")
    if reference_kind(entry) == "id":
        entry = os.path.abspath(Path(entry).expanduser())
    source = registry_source(entry)
    known = {_key(other): other for other in configured_registries()}
    if other := known.get(_key(entry)):
        hint = f"ltzoo registry update {source.name}" if source.repo else "ltzoo registry list"
        raise UsageError(f"registry {other} is listed already", hint=hint)
    if _key(entry) == _key(str(bundled_registry().path)):
        raise UsageError("the bundled registry is always read, after your own", hint="ltzoo registry list")
    fetch_registry(source)
    with editing_list(SETTING) as entries:
        append_entry(entries, entry)
    return source


def remove_registry(name: str) -> str:
    """Takes a registry out of ``config.toml``.

    Args:
        name: Its entry; or its path or repository in another form.

    Returns:
        The entry.

    Raises:
        UsageError: None is listed under that name.
    """
    index = _find(name)
    with editing_list(SETTING) as entries:
        return str(entries.pop(index))


def update_registry(name: str) -> RegistryUpdate:
    """Brings a registry of ``config.toml`` to the newest commit of its repository; checks one that is a file.

    Args:
        name: As `remove_registry` takes it.

    Raises:
        UsageError: None is listed under that name.
        OfflineError, HubError, IntegrityError: The Hub cannot be asked, or the registry not be fetched.
        SpecError: What is there now is no valid registry; the old one stays.
    """
    index = _find(name)
    old = configured_registries()[index]
    if reference_kind(old) != "hub":
        source = registry_source(old)
        Registry.load(source)
        return RegistryUpdate(old=old, new=source)
    repo = parse_hub_reference(old).repo
    new = registry_source(str(_newest(repo)))
    rows = {row.id: row for row in fetch_registry(new).bridges}
    before = {row.id: row for row in _bridges_before(old)}
    if new.place != old:
        with editing_list(SETTING) as entries:
            entries[index] = new.place
    return RegistryUpdate(
        old=old,
        new=new,
        added=tuple(sorted(rows.keys() - before.keys())),
        removed=tuple(sorted(before.keys() - rows.keys())),
        changed=tuple(sorted(id for id in rows.keys() & before.keys() if rows[id] != before[id])),
    )


def _newest(repo: str) -> HubReference:
    from ltzoo.hub import is_offline

    if is_offline():
        # What was the newest one once says nothing.
        raise OfflineError(
            f"hf:{repo} cannot be updated: ltzoo is offline", hint="unset HF_HUB_OFFLINE, and go online"
        )
    return HubReference(repo).pin()


def _bridges_before(entry: str) -> tuple[BridgeRow, ...]:
    """The rows of what an entry leads to now, as far as they can be read."""
    with suppress(SpecError, OfflineError):
        return Registry.load(registry_source(entry)).bridges
    return ()


def _find(name: str) -> int:
    """The place of an entry of ``config.toml``."""
    entries = configured_registries()
    for index, entry in enumerate(entries):
        if name == entry or _key(name) == _key(entry):
            return index
    raise UsageError(
        f"no registry '{name}' in {config_path()}", hint=suggest(name, entries, "ltzoo registry list")
    )


def _key(entry: str) -> str:
    """What two entries that lead to the same registry share."""
    if reference_kind(entry) == "hub":
        return entry.partition("@")[0]
    return os.path.realpath(Path(entry).expanduser())


def _name(at: HubReference) -> str:
    """A repository is listed once, so its commit does not belong to the name."""
    return str(HubReference(at.repo))
