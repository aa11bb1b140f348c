"""Publishing a bridge on the Hugging Face Hub: what may be published, what is uploaded, and the row that lists it."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ltzoo.bridge.bridge import Bridge
from ltzoo.bridge.card import Publication, card_text
from ltzoo.bridge.config import BridgeConfig
from ltzoo.bridge.folder import CARD
from ltzoo.bridge.golden import GOLDEN, write_golden
from ltzoo.bridge.row import make_row, requirement_of
from ltzoo.errors import BridgeError, HubError, UsageError
from ltzoo.hub import is_offline
from ltzoo.licenses import LicensedPart, find_license, license_objections
from ltzoo.references import HubReference
from ltzoo.registry import BRIDGE_ID, NEEDED_FILES, BridgeRow
from ltzoo.spec import REPO

__all__ = ["Published", "check_licenses", "prepare", "upload"]


@dataclass(frozen=True, kw_only=True)
class Published:
    """What came of publishing.

    Attributes:
        row: The registry row.
        url: Of the commit, or of the pull request.
    """

    row: BridgeRow
    url: str


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """A bridge that is ready to be uploaded.

    Attributes:
        repo: ``org/name``.
        license: Of the bridge's weights.
        id: What a registry calls it.
        folder: Holds exactly the files that are uploaded.
        files: These.
        unknown: What it is made from under licences that ltzoo does not know.
    """

    repo: str
    license: str
    id: str
    folder: Path
    files: tuple[Path, ...]
    unknown: tuple[LicensedPart, ...]

    def row(self, revision: str) -> BridgeRow:
        """The registry row, once the files are at that commit."""
        return make_row(
            self.folder,
            id=self.id,
            license=self.license,
            requirement=requirement_of,
            place=HubReference(self.repo, revision),
        )


def check_licenses(config: BridgeConfig, license: str, *, checked: bool) -> tuple[LicensedPart, ...]:
    """Whether a bridge may be published under that licence.

    Args:
        config: The bridge's.
        license: SPDX identifier, or ``other: where to read it``.
        checked: Somebody has read the licences that ltzoo does not know.

    Returns:
        What the bridge is made from under licences that ltzoo does not know.

    Raises:
        UsageError: Licences of models or data forbid it, or one of all of them is not known and was not checked.
    """
    parts = [LicensedPart(f"model {end.spec.id}", end.spec.license) for end in config.models]
    runs = (config.trained, *config.extended)
    parts += [
        LicensedPart(f"data behind latents of {one.model}", one.license)
        for run in runs
        for one in run.latents
        if one.license
    ]
    chosen = find_license(license)
    if chosen is None:
        if not checked:
            raise UsageError(
                f"ltzoo does not know the licence '{license}'",
                hint="give an SPDX identifier such as CC-BY-SA-4.0; or read what it is made from, then add "
                "--licenses-checked",
            )
        return tuple(dict.fromkeys(parts))
    reasons, unknown = license_objections(chosen, parts)
    if reasons:
        more = f", and {len(reasons) - 1} more" if len(reasons) > 1 else ""
        raise UsageError(
            f"the bridge cannot be published under {chosen.spdx}: {reasons[0]}{more}",
            hint="choose a licence that keeps their terms, or train on other models or data",
        )
    if unknown and not checked:
        first = unknown[0]
        raise UsageError(
            f"{first.what} is under '{first.license}', which ltzoo does not know",
            hint="read it; if it allows this, add --licenses-checked",
        )
    return tuple(unknown)


@contextmanager
def prepare(
    folder: Path, repo: str, *, license: str, id: str | None = None, licenses_checked: bool = False
) -> Iterator[Prepared]:
    """Makes what is uploaded: config and weights as they are, a card, and golden outputs.

    Args:
        folder: The bridge's, which is left as it is.
        repo: ``org/name`` on the Hub.
        license: Of the bridge's weights: an SPDX identifier, or ``other: where to read it``.
        id: What a registry calls it; by default the name of the repository.
        licenses_checked: Somebody has read the licences that ltzoo does not know.

    Yields:
        It, as long as the block runs.

    Raises:
        UsageError: The name is none, or licences forbid it; see `check_licenses`.
        BridgeError: The folder is no bridge, the bridge has no figures, or joins a model that nobody else has.
        PluginMissingError: A model's plugin is not installed: nobody would know what to install.
    """
    if not REPO.fullmatch(repo):
        raise UsageError(f"'{repo}' is not ORG/NAME", hint="ltzoo publish DIR your-name/your-bridge")
    id = id if id is not None else repo.split("/")[1].lower()
    if not BRIDGE_ID.fullmatch(id):
        raise UsageError(f"'{id}' cannot be an id of a registry", hint="give --id in a-z 0-9 . _ -")
    bridge = Bridge.from_pretrained(folder)
    config = bridge.config
    if not config.metrics:
        raise BridgeError(
            f"{folder}: no figures, so nobody could know what it is good for",
            hint=f"ltzoo eval local:{folder} --write",
        )
    for end in config.models:
        if end.spec.source.folder is not None:
            raise BridgeError(
                f"{folder}: joins {end.spec.id}, a folder of this machine, which nobody else has",
                hint="put the model on the Hub, and train between its references there",
            )
    unknown = check_licenses(config, license, checked=licenses_checked)
    known = find_license(license)
    license = known.spdx if known else license
    plugins = tuple(sorted({requirement_of(end.spec) for end in config.models}))
    with tempfile.TemporaryDirectory(prefix="ltzoo-publish-") as temporary:
        out = Path(temporary)
        for name in NEEDED_FILES:
            shutil.copyfile(folder / name, out / name)
        card = card_text(config, Publication(repo=repo, license=license, plugins=plugins))
        (out / CARD).write_text(card, "utf-8")
        write_golden(bridge, out / GOLDEN)
        prepared = Prepared(
            repo=repo,
            license=license,
            id=id,
            folder=out,
            files=tuple(out / name for name in (*NEEDED_FILES, CARD, GOLDEN)),
            unknown=unknown,
        )
        # What a row asks for must be there before anything is uploaded.
        prepared.row("0" * 40)
        yield prepared


def upload(
    prepared: Prepared, *, private: bool = False, pull_request: bool = False, message: str | None = None
) -> Published:
    """Uploads a prepared bridge in one commit.

    Args:
        prepared: What `prepare` gave.
        private: Make the repository private, if it is new.
        pull_request: Open a pull request in a repository that exists, rather than commit.
        message: Of the commit.

    Raises:
        OfflineError: The Hub cannot be reached, or must not be.
        HubError: It refused.
    """
    if is_offline():
        raise UsageError("publishing needs the Hub", hint="leave out --offline, and unset HF_HUB_OFFLINE")
    from huggingface_hub import CommitOperationAdd, ModelCard

    from ltzoo.hub_client import api, asking, check_reachable

    repo = prepared.repo
    with asking(f"hf:{repo}"):
        check_reachable()
        client = api()
        try:
            ModelCard.load(prepared.folder / CARD).validate()
        except ValueError as error:
            raise BridgeError(f"the Hub would not take the card: {error}") from error
        if not pull_request:
            client.create_repo(repo, private=private, exist_ok=True)
        operations: Sequence[CommitOperationAdd] = [
            CommitOperationAdd(path_in_repo=path.name, path_or_fileobj=path) for path in prepared.files
        ]
        commit = client.create_commit(
            repo,
            operations,
            commit_message=message or "Bridge published with ltzoo",
            create_pr=pull_request,
        )
    if not commit.oid:
        raise HubError(f"hf:{repo}: the Hub did not say its commit")
    return Published(row=prepared.row(commit.oid), url=str(commit.pr_url or commit.commit_url))
