"""What plugins of open families share: references to repositories and folders, and the files that lie there. Torch-free.

A reference is ``family:org/repo``, ``family:org/repo@revision``, ``family:org/repo@revision#subfolder``, or
``family:local:PATH``.
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from ltzoo.errors import IntegrityError, NoSuchFileError, OfflineError, UnknownModelError, UsageError
from ltzoo.hub import announced_sha256, cached_file, fetch_file, file_sha256, is_offline
from ltzoo.licenses import license_of_hub
from ltzoo.references import LOCAL, HubReference, parse_hub_reference
from ltzoo.spec import FileSpec, Source

__all__ = ["Checkpoint", "FamilyReference", "parse_family_reference"]

SUBFOLDER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*(/[A-Za-z0-9_][A-Za-z0-9_.-]*){0,7}")
SHARD = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,200}\.safetensors")
MOST_SHARDS = 50
MAX_JSON_BYTES = 4 * 2**20
CARD = "README.md"
FRONT_MATTER = re.compile(r"\A\ufeff?---\s*\n(.*?\n)---\s*$", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True)
class FamilyReference:
    """A member of an open family.

    Attributes:
        family: Name of the plugin.
        hub: The repository that holds it, or None.
        folder: The folder that holds it, or None.
        subfolder: Where in the repository it lies; empty for its top.
    """

    family: str
    hub: HubReference | None = None
    folder: Path | None = None
    subfolder: str = ""

    def __str__(self) -> str:
        if self.hub is None:
            return f"{self.family}:{LOCAL}{self.folder}"
        at = f"@{self.hub.revision}" if self.hub.revision else ""
        return f"{self.family}:{self.hub.repo}{at}" + (f"#{self.subfolder}" if self.subfolder else "")


def parse_family_reference(text: str) -> FamilyReference:
    """Reads a reference.

    Raises:
        UnknownModelError: It has another form.
    """
    family, _, rest = text.partition(":")
    if rest.startswith(LOCAL):
        if path := rest.removeprefix(LOCAL):
            return FamilyReference(family, folder=Path(path))
    else:
        repo, _, subfolder = rest.partition("#")
        try:
            hub = parse_hub_reference(f"hf:{repo}")
        except UsageError:
            hub = None
        if hub is not None and (SUBFOLDER.fullmatch(subfolder) if "#" in rest else True):
            return FamilyReference(family, hub=hub, subfolder=subfolder)
    raise UnknownModelError(
        f"'{text}' is not a reference to a repository or a folder",
        hint=f"write {family}:ORG/REPO, {family}:ORG/REPO@COMMIT#SUBFOLDER or {family}:local:PATH",
    )


class Checkpoint:
    """The files that a reference leads to.

    Args:
        reference: At a full commit, or with an absolute path; see `open`.
    """

    def __init__(self, reference: FamilyReference) -> None:
        self.reference = reference
        self._hashes: dict[str, str | None] = {}

    @classmethod
    def open(cls, reference: str) -> Checkpoint:
        """The files that a reference leads to, its branch or tag made a full commit and its path absolute.

        ``str`` of the result is what a spec has as its id.

        Raises:
            UnknownModelError: The reference has another form, or there is no such folder.
            OfflineError, HubError: The commit cannot be found out, or there is no such repository.
        """
        parsed = parse_family_reference(reference)
        if parsed.hub is not None:
            parsed = replace(parsed, hub=parsed.hub.pin())
        elif parsed.folder is not None:
            folder = Path(os.path.abspath(parsed.folder.expanduser()))
            if not folder.is_dir():
                raise UnknownModelError(
                    f"{reference}: {folder} is no folder", hint=f"{parsed.family}:local:PATH names a folder"
                )
            parsed = replace(parsed, folder=folder)
        return cls(parsed)

    def __str__(self) -> str:
        return str(self.reference)

    def find(self, *names: str) -> str | None:
        """The first of these files that is there, or None. The Hub is asked for what is not cached.

        Raises:
            OfflineError: The Hub cannot be asked, and none is cached.
            HubError: It refused.
        """
        hub, folder = self.reference.hub, self.reference.folder
        if folder is not None:
            return next((name for name in names if (folder / name).is_file()), None)
        assert hub is not None
        assert hub.revision is not None
        if is_offline():
            # Which of them the repository has was found out when they were fetched.
            for name in names:
                if cached_file(hub.repo, hub.revision, self._name(name)):
                    return name
        return next((name for name in names if self._sha256(name) is not None), None)

    def path(self, name: str) -> Path:
        """A file, fetched if it is on the Hub and not cached. Its content is not checked: see `source`.

        Raises:
            NoSuchFileError: It is not there.
            OfflineError, HubError: As `ltzoo.hub.fetch_file`.
        """
        hub = self.reference.hub
        if hub is not None:
            assert hub.revision is not None
            return fetch_file(hub.repo, hub.revision, self._name(name))
        assert self.reference.folder is not None
        path = self.reference.folder / name
        if not path.is_file():
            raise NoSuchFileError(f"{path}: no such file")
        return path

    def json(self, name: str) -> dict[str, Any]:
        """The content of a JSON file.

        Raises:
            NoSuchFileError: It is not there.
            OfflineError, HubError: As `ltzoo.hub.fetch_file`.
            IntegrityError: It cannot be read, or holds no JSON object.
        """
        path = self.path(name)
        try:
            with path.open("rb") as stream:
                content = stream.read(MAX_JSON_BYTES + 1)
            found = json.loads(content) if len(content) <= MAX_JSON_BYTES else None
        except (OSError, ValueError, RecursionError) as error:
            raise IntegrityError(f"{self}: {name} cannot be read as JSON: {error}") from error
        if not isinstance(found, dict):
            raise IntegrityError(f"{self}: {name} holds no JSON object of at most {MAX_JSON_BYTES} bytes")
        return found

    def weights(self, stem: str, *, pickle: str) -> tuple[str, ...]:
        """The safetensors files of a network: one, one in half precision, or an index and its parts.

        Args:
            stem: What they are called, without suffix.
            pickle: What a file of the same weights is called that would run code.

        Raises:
            IntegrityError: There is nothing but the pickle, or the index is not valid.
            NoSuchFileError: There are no weights.
        """
        index = f"{stem}.safetensors.index.json"
        found = self.find(f"{stem}.safetensors", f"{stem}.fp16.safetensors", index)
        if found == index:
            shards = self.json(index).get("weight_map")
            names = sorted({str(name) for name in shards.values()}) if isinstance(shards, dict) else []
            if not 0 < len(names) <= MOST_SHARDS or not all(SHARD.fullmatch(name) for name in names):
                raise IntegrityError(f"{self}: {index} names no safetensors files")
            return (index, *names)
        if found is not None:
            return (found,)
        if self.find(pickle) is not None:
            raise IntegrityError(
                f"{self}: has its weights only as a pickle ({pickle}), which can run code; ltzoo reads safetensors only",
                hint="ask its owner for safetensors, or convert it on a machine that you can spare",
            )
        raise NoSuchFileError(f"{self}: has no {stem}.safetensors")

    def source(self, *names: str) -> Source:
        """A spec's source: these files, each with its sha256. Large files of the Hub are not downloaded for it.

        Raises:
            NoSuchFileError: One is not there.
            OfflineError, HubError: As `ltzoo.hub.fetch_file`.
        """
        files = []
        for name in names:
            sha256 = self._sha256(name)
            if sha256 is None:
                raise NoSuchFileError(f"{self}: has no {name}")
            files.append(FileSpec(name=self._name(name), sha256=sha256))
        if self.reference.hub is not None:
            return Source(
                repo=self.reference.hub.repo, revision=self.reference.hub.revision, files=tuple(files)
            )
        return Source(folder=str(self.reference.folder), files=tuple(files))

    @cached_property
    def license(self) -> str:
        """The licence that the card states, as a spec has it; where none is stated, that is said."""
        hub = self.reference.hub
        place = f"{hub.repo} on the Hugging Face Hub" if hub else str(self.reference.folder)
        try:
            # The card is at the top, wherever the weights are.
            top = Checkpoint(replace(self.reference, subfolder=""))
            card = top.path(CARD).read_text("utf-8", errors="replace")
        except (NoSuchFileError, OfflineError, OSError):
            card = ""
        matter = FRONT_MATTER.match(card)
        stated = _scalar(matter[1], "license") if matter else None
        if stated is None:
            return f"other: not stated; see {place}"
        if known := license_of_hub(stated):
            return known.spdx
        more = _scalar(matter[1], "license_name") if matter else None
        return f"other: {more or stated}; see {place}"

    def _name(self, name: str) -> str:
        """The file's path below the root of the repository."""
        return f"{self.reference.subfolder}/{name}" if self.reference.subfolder else name

    def _sha256(self, name: str) -> str | None:
        """The file's sha256, or None if there is no such file."""
        if name not in self._hashes:
            hub = self.reference.hub
            try:
                if hub is not None:
                    assert hub.revision is not None
                    self._hashes[name] = announced_sha256(hub.repo, hub.revision, self._name(name))
                else:
                    self._hashes[name] = file_sha256(self.path(name))
            except NoSuchFileError:
                self._hashes[name] = None
        return self._hashes[name]


def _scalar(front_matter: str, key: str) -> str | None:
    """A top-level entry of a card's YAML; the first of several. A parser of YAML is not needed for one word."""
    found = re.search(rf"^{key}:[ \t]*(?:\n- *)?([^\n#\[\]{{}}]+)", front_matter, re.MULTILINE)
    return found[1].strip().strip("\"'").strip()[:200] or None if found else None
