"""``registry.toml``: the published bridges and the known plugins.

One registry is bundled with ltzoo; plugins and the ``registry`` setting add more. Rows are records, so
a registry that somebody else wrote is checked before it is believed.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from msgspec import Meta

from ltzoo.errors import OfflineError, SpecError
from ltzoo.records import Record
from ltzoo.spec import REPO, REVISION, FileSpec

__all__ = [
    "BRIDGE_FILES",
    "NEEDED_FILES",
    "REGISTRY_FILE",
    "BridgeRow",
    "MetricRow",
    "PluginRow",
    "Registry",
    "RegistrySource",
    "bundled_registry",
]

SCHEMA = 1
REGISTRY_FILE = "registry.toml"
"""Of a registry in a Hub repository."""
MAX_BYTES = 2**20
"""Of a registry; a row has some 2,500. The parser needs up to two seconds for so many."""
# The parser's time is quadratic in the parts of a key; the format's own keys have two.
LONG_KEY = re.compile(r"""(?<![\w-])(?:(?:[\w-]++|"[^"\n]*+"|'[^'\n]*+')[ \t]*+\.[ \t]*+){8}""")
BRIDGE_ID = re.compile(r"[a-z0-9][a-z0-9._-]*")
PLUGIN_NAME = re.compile(r"[a-z0-9][a-z0-9._-]*")
PACKAGE_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?")
NEEDED_FILES = ("config.json", "model.safetensors")
"""The files that every bridge has."""
BRIDGE_FILES = (*NEEDED_FILES, "README.md", "golden.safetensors")
"""The files that a bridge may have; no other name is ever fetched."""

Text = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=4096,
        # Rows that anybody may have written are shown in terminals: nothing there that moves a cursor or turns text.
        pattern=r"^[^\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]*\Z",
    ),
]


@dataclass(frozen=True, kw_only=True)
class MetricRow(Record):
    """One measured figure of one direction of a bridge."""

    name: Text
    source: Text
    target: Text
    value: float
    std: float | None = None


@dataclass(frozen=True, kw_only=True)
class BridgeRow(Record):
    """One published bridge.

    Attributes:
        id: Name in the registry.
        models: The models that it joins.
        files: The bridge's files and their hashes.
        size: Bytes of all files together.
        license: SPDX identifier of the bridge's weights.
        plugins: Requirements of the packages that serve the models.
        command: The command that trained it.
        recipe: Name of the recipe.
        date: Day of publication, ``YYYY-MM-DD``.
        metrics: Figures on held-out latents; ``metrics_command`` measured them.
        path: Folder of a bundled bridge, relative to the registry file.
        repo: ``org/name`` on the Hub; goes with ``revision``, the full commit.
    """

    id: Text
    models: Annotated[tuple[Text, ...], Meta(min_length=2, max_length=64)]
    files: Annotated[tuple[FileSpec, ...], Meta(min_length=1, max_length=8)]
    size: Annotated[int, Meta(ge=1)]
    license: Text
    plugins: tuple[Text, ...]
    command: Text
    recipe: Text
    date: Annotated[str, Meta(pattern=r"^\d{4}-\d{2}-\d{2}$")]
    metrics: tuple[MetricRow, ...] = ()
    metrics_command: Text | None = None
    path: Text | None = None
    repo: Text | None = None
    revision: str | None = None

    def __post_init__(self) -> None:
        def require(condition: bool, message: str) -> None:
            if not condition:
                raise SpecError(f"bridge '{self.id}': {message}")

        require(bool(BRIDGE_ID.fullmatch(self.id)), "the id must be in a-z 0-9 . _ -")
        require(len(set(self.models)) == len(self.models), "a model is listed twice")
        require((self.path is None) != (self.repo is None), "needs either a path or a repo")
        require((self.repo is None) == (self.revision is None), "repo and revision go together")
        require(self.repo is None or bool(REPO.fullmatch(self.repo)), f"'{self.repo}' is not org/name")
        require(
            self.revision is None or bool(REVISION.fullmatch(self.revision)), "revision must be 40 hex digits"
        )
        require(
            self.path is None or not re.search(r"^[/~]|[\\:\x00-\x1f]|(^|/)\.\.?(/|$)", self.path),
            f"path '{self.path}' must be relative, with forward slashes and no '..'",
        )
        names = [file.name for file in self.files]
        require(len(set(names)) == len(names), "a file is listed twice")
        require(set(names) <= set(BRIDGE_FILES), f"a bridge has no files but {', '.join(BRIDGE_FILES)}")
        require(
            set(NEEDED_FILES) <= set(names),
            f"{' and '.join(NEEDED_FILES)} must be listed",
        )
        for metric in self.metrics:
            require(
                {metric.source, metric.target} <= set(self.models),
                f"metric '{metric.name}' names another model",
            )

    def joins(self, source: str, target: str) -> bool:
        """Whether the bridge translates from ``source`` to ``target``."""
        return source != target and source in self.models and target in self.models

    def metric(self, name: str, source: str, target: str) -> float | None:
        """One figure of one direction, if it was measured."""
        for metric in self.metrics:
            if (metric.name, metric.source, metric.target) == (name, source, target):
                return metric.value
        return None


@dataclass(frozen=True, kw_only=True)
class PluginRow(Record):
    """One known plugin: enough to say which command installs a missing model."""

    name: Text
    package: Text
    description: Text
    models: tuple[Text, ...] = ()

    def __post_init__(self) -> None:
        if not PLUGIN_NAME.fullmatch(self.name):
            raise SpecError(f"plugin '{self.name}': the name must be in a-z 0-9 . _ -")
        # It becomes a word of an install command that people copy.
        if not PACKAGE_NAME.fullmatch(self.package):
            raise SpecError(f"plugin '{self.name}': '{self.package}' is not the name of a package")


@dataclass(frozen=True, kw_only=True)
class RegistrySource:
    """Where a registry lies: a file, or a Hub repository. The hook ``register_registries`` gives such ones.

    Attributes:
        name: What the registry is called in listings.
        path: The ``registry.toml`` file.
        repo: ``org/name`` of the Hub repository that holds a ``registry.toml``; goes with ``revision``.
        revision: Its full commit.

    Raises:
        SpecError: There is neither a path nor a repository, or both; or the commit is not a full one.
    """

    name: str
    path: Path | None = None
    repo: str | None = None
    revision: str | None = None

    def __post_init__(self) -> None:
        if (self.path is None) == (self.repo is None):
            raise SpecError(f"registry '{self.name}': needs either a path or a repo")
        if self.repo is not None and not (
            REPO.fullmatch(self.repo) and REVISION.fullmatch(self.revision or "")
        ):
            raise SpecError(
                f"registry '{self.name}': needs a repository org/name and a full commit of 40 hex digits"
            )

    @property
    def place(self) -> str:
        """Its path, or the reference to its repository."""
        return str(self.path) if self.repo is None else f"hf:{self.repo}@{self.revision}"

    @property
    def file(self) -> Path | None:
        """The file that holds it; None where that is not in the Hub's cache. The Hub is not asked."""
        if self.repo is None:
            return self.path
        from ltzoo.hub import cached_file  # only here: few have such a registry

        return cached_file(self.repo, self.revision or "", REGISTRY_FILE)


@dataclass(frozen=True, kw_only=True)
class Registry(Record):
    """One ``registry.toml``."""

    schema: Annotated[int, Meta(ge=1)]
    plugins: tuple[PluginRow, ...] = ()
    bridges: tuple[BridgeRow, ...] = ()

    def __post_init__(self) -> None:
        if self.schema != SCHEMA:
            raise SpecError(
                f"registry schema {self.schema} is not known to this ltzoo, which reads {SCHEMA}",
                hint="ltzoo install -U ltzoo",
            )
        for noun, ids in (
            ("bridge", [row.id for row in self.bridges]),
            ("plugin", [row.name for row in self.plugins]),
        ):
            twice = [name for name, count in Counter(ids).items() if count > 1]
            if twice:
                raise SpecError(f"registry lists {noun} '{twice[0]}' twice")

    @classmethod
    def load(cls, source: RegistrySource) -> Registry:
        """Reads and checks a registry. The Hub is not asked.

        Raises:
            SpecError: The file cannot be read, is too large, is not TOML, or holds an invalid row.
            OfflineError: It lies on the Hub, and is not in the cache.
        """
        import tomllib

        path = source.file
        where = f"registry {source.place}"
        if path is None:
            raise OfflineError(f"{where} is not in the cache", hint="ltzoo registry update")
        try:
            with path.open("rb") as stream:
                content = stream.read(MAX_BYTES + 1)
            if len(content) > MAX_BYTES:
                raise SpecError(f"{where}: is larger than {MAX_BYTES} bytes")
            text = content.decode()
            if LONG_KEY.search(text):
                raise SpecError(f"{where}: has a key of more than 8 parts")
            data: Any = tomllib.loads(text)
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
            raise SpecError(f"{where}: cannot be read: {error}") from error
        registry = cls.from_dict(data, where=where)
        if source.repo is not None and (beside := [row.id for row in registry.bridges if row.path]):
            raise SpecError(
                f"{where}: bridge '{beside[0]}' has a path, and only files on the Hub can be fetched: "
                "its row needs repo and revision"
            )
        return registry


def bundled_registry() -> RegistrySource:
    """The registry that ships with ltzoo: inside the package, or at the top of a checkout."""
    package = Path(__file__).parent
    for path in (package / "_data" / REGISTRY_FILE, package.parent / REGISTRY_FILE):
        if path.is_file():
            return RegistrySource(name="ltzoo", path=path)
    raise SpecError("the bundled registry.toml is missing", hint="reinstall ltzoo")
