"""Records and specs: valid ones survive JSON, invalid ones say what is wrong."""

from __future__ import annotations

import contextlib
import dataclasses
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ltzoo.errors import LtzooError, SpecError
from ltzoo.spec import (
    DatasetSpec,
    DataSpec,
    FileSpec,
    JudgeSpec,
    LabellerSpec,
    LatentFile,
    LatentSpec,
    ModelSpec,
    Source,
)

SHA = "0123456789abcdef" * 4
SPEC = ModelSpec(
    id="mnist/vae",
    title="digits",
    data=DataSpec(modality="image", shape=(1, 28, 28), fit="ink"),
    latent=LatentSpec(shape=(64,), stochastic=True),
    capabilities=frozenset({"encode", "decode", "sample"}),
    license="MIT",
    loader="ltzoo_mnist.adapter:load",
    labels=("zero", "one"),
    source=Source(package="ltzoo_mnist", files=(FileSpec(name="vae.safetensors", sha256=SHA),)),
    reconstruction_mse=0.01,
)

sizes = st.one_of(st.none(), st.integers(1, 4096))
names = st.from_regex(r"[a-z0-9][a-z0-9._-]{0,8}", fullmatch=True)
texts = st.text(min_size=1, max_size=20).filter(str.strip)
specs = st.builds(
    ModelSpec,
    id=st.one_of(
        st.builds("{}/{}".format, names, names),
        st.builds("{}:Org/Repo@{}".format, names, st.text("0af", min_size=1)),
    ),
    title=texts,
    data=st.one_of(
        st.builds(
            DataSpec,
            modality=st.just("image"),
            shape=st.tuples(st.integers(1, 4), sizes, sizes),
            fit=st.sampled_from(["contain", "cover", "refuse"]),
            background=st.floats(0, 1),
        ),
        st.builds(
            DataSpec,
            modality=st.just("audio"),
            shape=st.tuples(st.integers(1, 2), sizes),
            sample_rate=st.integers(1, 96_000),
            fit=st.sampled_from(["loudest", "refuse"]),
        ),
        st.just(DataSpec(modality="text")),
    ),
    latent=st.builds(
        LatentSpec,
        shape=st.lists(sizes, max_size=2).flatmap(
            lambda rest: st.integers(1, 512).map(lambda first: (first, *rest))
        ),
        stochastic=st.booleans(),
    ),
    capabilities=st.sets(st.sampled_from(["encode", "decode"]), min_size=1).map(frozenset),
    license=texts,
    loader=st.just("a.b:c"),
    labels=st.lists(texts, unique=True, max_size=3).map(tuple),
)


@given(specs)
def test_a_spec_survives_json(spec):
    assert ModelSpec.from_json(spec.to_json()) == spec


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda x: (
            st.lists(x) | st.dictionaries(st.sampled_from([f.name for f in dataclasses.fields(ModelSpec)]), x)
        ),
    )
)
def test_any_json_is_a_spec_or_an_ltzoo_error(value):
    with contextlib.suppress(LtzooError):
        ModelSpec.from_json(json.dumps(value))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"id": "Mnist/vae"}, "the id must be"),
        ({"id": "mnist"}, "the id must be"),
        ({"id": "mnist/../vae"}, "the id must be"),
        ({"license": " "}, "license must be given"),
        ({"capabilities": frozenset()}, "no capability"),
        ({"capabilities": frozenset({"fly"})}, "unknown capabilities: fly"),
        (
            {"capabilities": frozenset({"sample", "encode"}), "reconstruction_mse": None},
            "'sample' needs 'decode'",
        ),
        ({"capabilities": frozenset({"decode"})}, "reconstruction_mse needs both"),
        ({"loader": "ltzoo_mnist"}, "is not 'module:function'"),
        ({"labels": ("one", "one")}, "label names must differ"),
        ({"data": None}, "data must be a DataSpec"),
    ],
)
def test_a_bad_spec_says_what_is_wrong(change, message):
    with pytest.raises(SpecError, match=message):
        dataclasses.replace(SPEC, **change)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: DataSpec(modality="image", shape=(28, 28)), "needs a shape of 3 sizes, not 28 x 28"),
        (lambda: DataSpec(modality="audio", shape=(1, 8000)), "sample_rate goes with audio"),
        (
            lambda: DataSpec(modality="image", shape=(1, 2, 2), sample_rate=8000),
            "sample_rate goes with audio",
        ),
        (lambda: DataSpec(modality="text", fit="ink"), "fit 'ink' does not apply to text"),
        (lambda: DataSpec(modality="image", shape=(1, None, None), fit="ink"), "needs a fixed height"),
        (lambda: LatentSpec(shape=(None,)), "the first size"),
        (lambda: LatentSpec(shape=(1, 2, 3, 4)), "needs 1, 2 or 3 sizes"),
        (
            lambda: Source(files=(FileSpec(name="a", sha256=SHA),)),
            "need either a package, a repo or a folder",
        ),
        (lambda: Source(repo="org/name"), "go together"),
        (lambda: Source(repo="org/name", revision="main"), "full commit"),
        (
            lambda: JudgeSpec(loader="x", source=Source(), accuracy=1, command="c", license="MIT"),
            "judge: loader 'x' is not 'module:function'",
        ),
        (
            lambda: LabellerSpec(loader="x", source=Source(), accuracy=1, command="c", license="MIT"),
            "labeller: loader 'x' is not 'module:function'",
        ),
    ],
)
def test_parts_of_a_spec_say_what_is_wrong(make, message):
    with pytest.raises(SpecError, match=message):
        make()


def test_the_labeller_is_never_the_judge():
    weights = Source(package="ltzoo_mnist", files=(FileSpec(name="judge.safetensors", sha256=SHA),))
    fields = {"loader": "m:f", "source": weights, "accuracy": 1.0, "command": "c", "license": "MIT"}
    with pytest.raises(SpecError, match="the labeller must not be the judge"):
        DatasetSpec(
            id="mnist/digits",
            title="digits",
            data=SPEC.data,
            license="MIT",
            judge=JudgeSpec(**fields),
            labeller=LabellerSpec(**fields),
        )


@pytest.mark.parametrize(
    "name", ["../up", "/etc/passwd", "a/../b", "C:\\x", "c:x", "\\\\host\\x", "a//b", "./a", "a\x00"]
)
def test_a_file_name_cannot_leave_its_folder(name):
    with pytest.raises(SpecError, match="relative path"):
        FileSpec(name=name, sha256=SHA)


def test_unknown_keys_and_wrong_types_are_refused():
    data = SPEC.to_dict()
    data["latent"]["chanels"] = 4
    with pytest.raises(SpecError, match="unknown key 'chanels'"):
        ModelSpec.from_dict(data)
    with pytest.raises(SpecError, match=r"Expected `str`, got `int` - at `\$\.id`"):
        ModelSpec.from_dict({**SPEC.to_dict(), "id": 3})
    with pytest.raises(SpecError, match="not valid JSON"):
        ModelSpec.from_json("[" * 100_000)


def test_the_fingerprint_follows_what_latents_depend_on():
    other = FileSpec(name="vae.safetensors", sha256="f" * 64)
    assert SPEC.fingerprint == dataclasses.replace(SPEC, title="other", license="BSD").fingerprint
    for change in (
        {"source": Source(package="ltzoo_mnist", files=(other,))},
        {"adapter_version": 2},
        {"latent": LatentSpec(shape=(32,))},
    ):
        assert dataclasses.replace(SPEC, **change).fingerprint != SPEC.fingerprint
    bare = dataclasses.replace(SPEC, source=Source())
    assert bare.fingerprint != dataclasses.replace(bare, id="mnist/other").fingerprint


def test_namespace_kind_and_channels():
    assert SPEC.namespace == "mnist"
    assert dataclasses.replace(SPEC, id="diffusers:org/repo").namespace == "diffusers"
    assert [LatentSpec(shape=(3, None, None)[:n]).kind for n in (1, 2, 3)] == ["vector", "sequence", "grid"]
    assert not LatentSpec(shape=(4, None)).fixed
    assert LatentSpec(shape=(4, None)).channels == 4


def test_a_dataset_lists_only_files_that_it_has():
    with pytest.raises(SpecError, match="lists no file 'a'"):
        DatasetSpec(
            id="mnist/digits",
            title="t",
            data=SPEC.data,
            license="MIT",
            latents=(LatentFile(model="mnist/vae", file=FileSpec(name="a", sha256=SHA)),),
        )
