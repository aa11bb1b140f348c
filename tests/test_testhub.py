"""The tests' own Hub, asked by the real client: it must find there what it finds at the real one."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hub_samples import CARD, FILES, LARGE, WEIGHTS
from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, ModelCard, hf_hub_download
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    RemoteEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.file_download import http_get
from testhub import READER, WRITER


@pytest.fixture
def filled(hub, hub_environment):
    """A hub with one repository, and its commit's sha; this process's client asks it, without a token."""
    return hub, hub.add("org/name", FILES, tags=["v1"])


@pytest.fixture
def api(hub_environment) -> HfApi:
    """The client of one who may write."""
    hub_environment.use(token=WRITER)
    return HfApi()


def statuses(hub, method: str) -> list[int]:
    return [r.status for r in hub.requests if r.method == method and r.path != "/api/agent-harnesses"]


def additions(files: dict[str, bytes]) -> list[CommitOperationAdd]:
    return [CommitOperationAdd(path, content) for path, content in files.items()]


# Reading


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("revision", [None, "v1", "refs/heads/main", "sha"])
def test_a_file_comes_from_any_revision_and_once(filled, hub_environment, name, revision):
    hub, sha = filled
    found = Path(hf_hub_download("org/name", name, revision=sha if revision == "sha" else revision))
    assert found.read_bytes() == FILES[name]
    assert found == hub_environment.cache / "models--org--name" / "snapshots" / sha / name
    hf_hub_download("org/name", name, revision=sha)
    assert hub.bytes_sent("org/name", name) == hub.bytes_sent("org/name") == len(FILES[name])


def test_large_files_come_from_another_origin_which_sees_no_token(filled, hub_environment):
    hub, _ = filled
    hub_environment.use(token=READER)
    hf_hub_download("org/name", LARGE)
    hf_hub_download("org/name", "config.json")
    files = [r for r in hub.requests if r.file]
    assert [(r.file[1], r.authorised) for r in files] == [(LARGE, False), ("config.json", True)]
    assert files[0].path.startswith("/files/")


def test_a_download_goes_on_from_where_it_was(filled, tmp_path):
    hub, sha = filled
    part = tmp_path / "part"
    part.write_bytes(WEIGHTS[:1234])
    with part.open("ab") as stream:
        http_get(f"{hub.endpoint}/org/name/resolve/{sha}/{LARGE}", stream, resume_size=1234)
    assert part.read_bytes() == WEIGHTS
    assert hub.requests[-1].range == "bytes=1234-"
    assert hub.bytes_sent("org/name", LARGE) == len(WEIGHTS) - 1234


def test_many_at_once_transfer_a_file_once(filled):
    hub, _ = filled
    with ThreadPoolExecutor(20) as pool:
        found = set(pool.map(lambda _: hf_hub_download("org/name", LARGE), range(20)))
    assert len(found) == 1
    assert hub.bytes_sent("org/name", LARGE) == len(WEIGHTS)


def test_the_info_of_a_model(filled):
    hub, sha = filled
    api = HfApi()
    info = api.model_info("org/name", revision="v1", files_metadata=True)
    assert (info.sha, info.private, info.gated, info.library_name) == (sha, False, False, "ltzoo")
    assert {"ltzoo", "image", "license:apache-2.0", "base_model:org/source"} <= set(info.tags)
    assert info.card_data.license == "apache-2.0"
    assert info.card_data.eval_results[0].metric_value == 0.9
    files = {file.rfilename: file for file in info.siblings}
    assert {name: file.size for name, file in files.items()} == {n: len(c) for n, c in FILES.items()}
    assert files["config.json"].lfs is None
    newer = hub.add("org/name", {"config.json": b"{}"})
    assert api.model_info("org/name").sha == newer != sha
    assert [file.rfilename for file in api.model_info("org/name").siblings] == ["config.json"]
    assert api.model_info("org/name", revision=sha).sha == sha
    assert api.model_info("org/name", expand=["sha"]).tags is None
    assert [commit.commit_id for commit in api.list_repo_commits("org/name")] == [newer, sha]
    with pytest.raises(RevisionNotFoundError):
        api.model_info("org/name", revision="v2")


def test_the_tree_names_the_hashes(filled, tmp_path):
    import hashlib

    hub, _ = filled
    hub.page_size = 2
    tree = list(HfApi().list_repo_tree("org/name", recursive=True))
    assert [entry.path for entry in tree] == ["README.md", "config.json", "sub", LARGE]
    assert tree[-1].lfs.sha256 == hashlib.sha256(WEIGHTS).hexdigest()
    assert statuses(hub, "GET") == [200, 200]
    assert [entry.path for entry in HfApi().list_repo_tree("org/name")] == ["README.md", "config.json", "sub"]
    assert [entry.path for entry in HfApi().list_repo_tree("org/name", "sub")] == [LARGE]
    with pytest.raises(RemoteEntryNotFoundError):
        list(HfApi().list_repo_tree("org/name", "other"))


def test_models_are_searched_page_by_page(filled):
    hub, sha = filled
    for i in range(5):
        hub.add(f"user/bridge-{i}", {"README.md": CARD.encode()})
    hub.add("user/other", {"README.md": b"# Without metadata"})
    hub.add("org/secret", {"README.md": CARD.encode()}, private=True)
    hub.page_size = 2
    api = HfApi()
    bridges = [f"user/bridge-{i}" for i in range(5)]
    assert [model.id for model in api.list_models(filter="ltzoo")] == ["org/name", *bridges]
    assert statuses(hub, "GET") == [200, 200, 200]
    assert [model.id for model in api.list_models(filter=["ltzoo", "image"], author="user")] == bridges
    assert [model.id for model in api.list_models(search="BRIDGE-3")] == ["user/bridge-3"]
    assert len(list(api.list_models(limit=3))) == 3
    assert not list(api.list_models(filter="audio"))
    listed = next(iter(api.list_models(author="org", full=True, cardData=True)))
    assert (listed.sha, listed.card_data.license) == (sha, "apache-2.0")
    assert next(iter(api.list_models(author="org"))).card_data is None
    assert "org/secret" in [model.id for model in api.list_models(token=WRITER)]


def test_what_exists(filled):
    api = HfApi()
    assert api.repo_exists("org/name")
    assert not api.repo_exists("org/other")
    assert api.file_exists("org/name", LARGE)
    assert not api.file_exists("org/name", "other")
    assert not api.file_exists("org/name", LARGE, revision="v2")
    with pytest.raises(RemoteEntryNotFoundError):
        hf_hub_download("org/name", "other")


# Who may


def test_a_private_repository_is_there_for_those_who_may_read_it(hub, hub_environment):
    hub.add("org/name", FILES, private=True)
    for token, status in ((False, 401), (READER, 404)):
        with pytest.raises(RepositoryNotFoundError) as caught:
            hf_hub_download("org/name", LARGE, token=token)
        assert caught.value.response.status_code == status
        assert not HfApi(token=token).repo_exists("org/name")
    assert Path(hf_hub_download("org/name", LARGE, token=WRITER)).read_bytes() == WEIGHTS


def test_a_gated_repository_shows_itself_but_not_its_files(hub, hub_environment):
    hub.add("org/name", FILES, gated=True)
    for token, status in ((False, 401), (READER, 403)):
        with pytest.raises(GatedRepoError) as caught:
            hf_hub_download("org/name", LARGE, token=token)
        assert caught.value.response.status_code == status
        assert HfApi(token=token).model_info("org/name").gated == "manual"
    hub.repository("org/name").readers.add("visitor")
    assert Path(hf_hub_download("org/name", LARGE, token=READER)).read_bytes() == WEIGHTS


def test_a_token_tells_who_asks(filled, hub_environment):
    me = HfApi().whoami(token=WRITER)
    assert (me["name"], [org["name"] for org in me["orgs"]]) == ("tester", ["org"])
    assert HfApi().whoami(token=READER)["auth"]["accessToken"]["role"] == "read"
    with pytest.raises(HfHubHTTPError, match="Invalid user token"):
        HfApi().whoami(token="hf_unknown")
    hub_environment.home.mkdir(exist_ok=True)
    (hub_environment.home / "token").write_text(WRITER)
    assert HfApi().whoami()["name"] == "tester"


# Writing


def test_what_is_committed_is_downloaded_bit_for_bit(hub, hub_environment, api, tmp_path):
    assert api.create_repo("org/new").repo_id == "org/new"
    made = api.create_commit(
        "org/new", additions(FILES), commit_message="Add a bridge", commit_description="All"
    )
    assert (made.oid, made.pr_url) == (api.model_info("org/new").sha, None)
    assert made.repo_url.repo_id == "org/new"
    assert [r.path for r in hub.requests if r.method == "PUT" and not r.authorised] != []
    hub_environment.use(home=tmp_path / "another", token="")
    for name, content in FILES.items():
        assert Path(hf_hub_download("org/new", name, revision=made.oid)).read_bytes() == content
    assert api.list_repo_commits("org/new")[0].title == "Add a bridge"


def test_a_repository_is_made_once(api):
    api.create_repo("org/new", private=True)
    assert api.model_info("org/new").private
    assert api.create_repo("org/new", exist_ok=True).repo_id == "org/new"
    with pytest.raises(HfHubHTTPError, match="already created") as caught:
        api.create_repo("org/new")
    assert caught.value.response.status_code == 409
    for token, repo, status in (
        (WRITER, "elsewhere/new", 403),
        (READER, "visitor/new", 403),
        (False, "org/x", 401),
    ):
        with pytest.raises(HfHubHTTPError) as caught:
            api.create_repo(repo, token=token)
        assert caught.value.response.status_code == status


def test_a_commit_on_an_older_parent_is_refused(hub, api):
    old = hub.add("org/name", FILES)
    new = hub.add("org/name", {**FILES, "config.json": b"{}"})
    operations = [CommitOperationAdd("note.txt", b"new"), CommitOperationDelete("config.json")]
    with pytest.raises(HfHubHTTPError, match="A commit has happened since") as caught:
        api.create_commit("org/name", operations, commit_message="late", parent_commit=old)
    assert caught.value.response.status_code == 412
    made = api.create_commit("org/name", operations, commit_message="in time", parent_commit=new)
    assert set(hub.files("org/name", made.oid)) == {"README.md", LARGE, "note.txt"}


def test_a_pull_request_comes_from_one_who_may_not_write(hub, hub_environment):
    sha = hub.add("org/name", FILES)
    api = HfApi(token=READER)
    changed = WEIGHTS[::-1]
    operations = additions({LARGE: changed})
    with pytest.raises(HfHubHTTPError) as caught:
        api.create_commit("org/name", operations, commit_message="Better")
    assert caught.value.response.status_code == 403
    made = api.create_commit("org/name", operations, commit_message="Better", create_pr=True)
    assert (made.pr_num, made.pr_revision) == (1, "refs/pr/1")
    assert made.pr_url == f"{hub.endpoint}/org/name/discussions/1"
    assert Path(hf_hub_download("org/name", LARGE, revision="refs/pr/1")).read_bytes() == changed
    assert api.model_info("org/name").sha == sha
    details = api.get_discussion_details("org/name", 1)
    assert (details.title, details.is_pull_request, details.status) == ("Better", True, "open")
    assert (
        api.create_commit("org/name", additions({"a": b"b"}), commit_message="+", create_pr=True).pr_num == 2
    )
    hub.move("org/name", "main", made.oid)
    assert hub.files("org/name")[LARGE] == changed


def test_a_folder_is_uploaded_in_one_commit_without_what_is_there(hub, api, tmp_path):
    hub.add("org/name", {**FILES, "old.txt": b"old"})
    for name, content in {**FILES, "config.json": b"{}"}.items():
        (tmp_path / "bridge" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "bridge" / name).write_bytes(content)
    api.upload_folder(repo_id="org/name", folder_path=tmp_path / "bridge", delete_patterns="*.txt")
    assert hub.files("org/name") == {**FILES, "config.json": b"{}"}
    assert len(api.list_repo_commits("org/name")) == 2
    assert statuses(hub, "PUT") == []  # the weights had not changed
    before = hub.repository("org/name").refs["refs/heads/main"]
    unchanged = api.create_commit(
        "org/name", additions(FILES | {"config.json": b"{}"}), commit_message="same"
    )
    assert unchanged.oid == before


def test_tags_are_made_once_and_listed(filled, api):
    _, sha = filled
    api.create_tag("org/name", tag="v2", revision=sha)
    refs = api.list_repo_refs("org/name", include_pull_requests=True)
    assert {tag.name: tag.target_commit for tag in refs.tags} == {"v1": sha, "v2": sha}
    assert ([branch.name for branch in refs.branches], refs.pull_requests) == (["main"], [])
    with pytest.raises(HfHubHTTPError) as caught:
        api.create_tag("org/name", tag="v2")
    assert caught.value.response.status_code == 409


@pytest.mark.parametrize(
    ("right", "wrong", "message"),
    [
        ("license: apache-2.0", "license: Apache-2.0", '"license" must be one of'),
        ("library_name: ltzoo", "library_name: [ltzoo]", '"library_name" must be a string'),
        ("- org/source", "- 3", '"base_model" must be'),
        ("{type: digits, name: Digits}", "{name: Digits}", "dataset.type"),
        ("{type: accuracy, value: 0.9}", "{type: accuracy}", "a type and a value"),
        ("tags:\n", "tags: ]\n", "YAML"),
    ],
)
def test_a_card_that_the_hub_would_refuse_is_not_committed(api, right, wrong, message):
    ModelCard(CARD).validate()
    assert right in CARD
    operations = additions({"README.md": CARD.replace(right, wrong, 1).encode()})
    with pytest.raises(ValueError, match=message):
        api.create_commit("org/name", operations, commit_message="wrong")


def test_a_card_is_validated_by_itself(hub_environment):
    with pytest.raises(ValueError, match="license"):
        ModelCard(CARD.replace("apache-2.0", "Apache-2.0")).validate()
