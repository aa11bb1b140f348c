"""`LatentSet`: its checks, its file, and what becomes of damaged files."""

from __future__ import annotations

import dataclasses
import os
import stat

import pytest
import torch
from fakes import model_spec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import save_file

from ltzoo.errors import FingerprintError, LatentsError, LtzooError
from ltzoo.latents import SPLITS, LatentSet, paired_rows

FINGERPRINT = "ab" * 32


def latent_set(n=6, shape=(4,), *, seed=0, **columns) -> LatentSet:
    generator = torch.Generator().manual_seed(seed)
    fields = {
        "model": "fake/model",
        "fingerprint": FINGERPRINT,
        "latents": torch.randn(n, *shape, generator=generator),
        "labels": torch.arange(n) % 3,
        "split": torch.arange(n).remainder(3).to(torch.uint8),
        "label_names": ("zero", "one", "two"),
        "license": "CC0-1.0",
    }
    return LatentSet(**(fields | columns))


def same(a: LatentSet, b: LatentSet) -> bool:
    def equal(x, y):
        return torch.equal(x, y) if isinstance(x, torch.Tensor) and isinstance(y, torch.Tensor) else x == y

    return all(
        equal(getattr(a, field.name), getattr(b, field.name)) for field in dataclasses.fields(LatentSet)
    )


@st.composite
def latent_sets(draw) -> LatentSet:
    n = draw(st.integers(0, 6))
    shape = tuple(draw(st.lists(st.integers(1, 4), min_size=1, max_size=3)))
    names = tuple(draw(st.lists(st.text(max_size=8), max_size=4)))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**32)))

    def column(low, high, dtype):
        return torch.randint(low, high, (n,), generator=generator).to(dtype) if draw(st.booleans()) else None

    scale = 10.0 ** draw(st.integers(-6, 4))
    keys = column(-(2**62), 2**62, torch.int64)
    return LatentSet(
        model=draw(st.text(min_size=1, max_size=20)),
        fingerprint=FINGERPRINT,
        latents=scale * torch.rand(n, *shape, generator=generator),
        std=torch.rand(n, *shape, generator=generator) if draw(st.booleans()) else None,
        labels=column(-1, len(names) or 5, torch.int64),
        keys=keys,
        keys_of=None if keys is None else draw(st.none() | st.text(min_size=1, max_size=20)),
        split=column(0, len(SPLITS), torch.uint8),
        label_names=names,
        license=draw(st.none() | st.text(max_size=20)),
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("latents")


@given(latents=latent_sets(), half=st.booleans())
@settings(max_examples=60, deadline=None)
def test_a_set_comes_back_from_its_file(folder, latents, half):
    path = folder / "set.safetensors"
    latents.save(path, dtype=torch.float16 if half else torch.float32)
    back = LatentSet.load(path)
    if half:
        # What float16 can hold comes back, and is stored again as the same bytes.
        rounded = dataclasses.replace(
            latents,
            latents=latents.latents.half().float(),
            std=None if latents.std is None else latents.std.half().float(),
        )
        assert same(back, rounded)
        first = path.read_bytes()
        back.save(path, dtype=torch.float16)
        assert path.read_bytes() == first
    else:
        assert same(back, latents)
    assert os.listdir(folder) == ["set.safetensors"]


@given(data=st.data())
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_a_damaged_file_loads_or_raises_our_error(folder, data):
    path = folder / "whole.safetensors"
    if not path.exists():
        latent_set(std=torch.ones(6, 4), keys=torch.arange(6)).save(path)
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        # The header is where most can go wrong.
        where = data.draw(st.integers(0, len(content) - 1) | st.integers(0, min(700, len(content) - 1)))
        kind = data.draw(st.sampled_from(["change", "cut", "insert", "delete"]))
        if kind == "change":
            content[where] = data.draw(st.integers(0, 255))
        elif kind == "cut":
            del content[where:]
        elif kind == "insert":
            content[where:where] = data.draw(st.binary(min_size=1, max_size=9))
        else:
            del content[where : where + data.draw(st.integers(1, 9))]
        if not content:
            break
    damaged = folder / "damaged.safetensors"
    damaged.write_bytes(content)
    try:
        back = LatentSet.load(damaged)
    except LtzooError as error:
        assert str(damaged) in error.message
        assert "\n" not in error.message
    else:
        assert back.latents.isfinite().all()
        assert back.latents.dtype == torch.float32
    finally:
        damaged.unlink()


def test_parts_and_selections_keep_rows_together():
    latents = latent_set(9, keys=torch.arange(9) * 10)
    test = latents.part("test")
    assert test.keys.tolist() == [20, 50, 80]
    assert test.labels.tolist() == [2, 2, 2]
    assert torch.equal(test.latents, latents.latents[[2, 5, 8]])
    assert test.label_names == latents.label_names
    assert len(latents.select(torch.tensor([3, 3]))) == 2
    assert latents.select(latents.labels == 1).keys.tolist() == [10, 40, 70]


def pairing(first: list[int], second: list[int], names=("items", "items")) -> list[list[int]]:
    a, b = (
        latent_set(len(keys), keys=torch.tensor(keys), keys_of=name)
        for keys, name in zip((first, second), names, strict=True)
    )
    return paired_rows(a, b).tolist()


def test_rows_pair_by_key_in_any_order():
    assert pairing([5, -2, 9, 7], [9, 5, 1]) == [[0, 1], [2, 0]]
    assert pairing([1, 2], [3]) == []


def test_rows_of_a_key_that_comes_several_times_take_turns():
    assert pairing([4, 8], [8, 8, 4, 8]) == [[0, 2], [1, 0], [1, 1], [1, 3]]
    assert pairing([8, 8], [8, 8, 8]) == [[0, 0], [0, 2], [1, 1]]


@pytest.mark.parametrize("names", [("items", "others"), ("items", None), (None, None)])
def test_keys_that_do_not_number_the_same_items_never_pair(names):
    assert pairing([0, 1], [0, 1], names) == []


def test_a_file_of_before_has_keys_of_nothing_and_a_name_needs_keys(tmp_path):
    latent_set(keys=torch.arange(6)).save(tmp_path / "set")
    with safe_open(tmp_path / "set", framework="pt") as file:
        assert "keys_of" not in file.metadata()["ltzoo"]
    assert LatentSet.load(tmp_path / "set").keys_of is None
    for columns in ({"keys_of": "items"}, {"keys_of": "", "keys": torch.arange(6)}):
        with pytest.raises(LatentsError, match="keys_of must name"):
            latent_set(**columns)


def test_a_part_that_is_not_there_is_named():
    train_only = latent_set(3, split=torch.zeros(3, dtype=torch.uint8))
    with pytest.raises(LatentsError, match="no test part") as caught:
        train_only.part("test")
    assert "train" in caught.value.hint
    with pytest.raises(LatentsError, match="not split"):
        latent_set(split=None).part("test")
    with pytest.raises(LatentsError, match="'dev' is not a split"):
        latent_set().part("dev")


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"latents": torch.zeros(6)}, "items x latent shape"),
        ({"latents": torch.zeros(6, 4).half()}, "'latents' must be float32 6 x 4, not float16 6 x 4"),
        ({"std": torch.ones(6, 5)}, "'std' must be float32 6 x 4, not float32 6 x 5"),
        ({"std": -torch.ones(6, 4)}, "'std' of row 0 must be at least 0"),
        ({"labels": torch.zeros(5, dtype=torch.int64)}, "'labels' must be int64 6, not int64 5"),
        ({"labels": torch.tensor([0, 1, 2, 3, 0, 0])}, "'labels' of row 3 must be at least -1 and below 3"),
        ({"labels": torch.tensor([0, -2, 2, 0, 0, 0])}, "'labels' of row 1"),
        (
            {"split": torch.full((6,), 3, dtype=torch.uint8)},
            "'split' of row 0 must be at least 0 and below 3",
        ),
        ({"keys": torch.zeros(6)}, "'keys' must be int64 6, not float32 6"),
    ],
)
def test_tensors_that_do_not_fit_are_refused(columns, message):
    with pytest.raises(LatentsError, match=message):
        latent_set(**columns)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("name", ["latents", "std"])
def test_values_that_are_not_finite_are_refused_both_ways(tmp_path, value, name):
    bad = latent_set(std=torch.ones(6, 4))
    getattr(bad, name)[4, 1] = value
    path = tmp_path / "bad.safetensors"
    with pytest.raises(LatentsError, match=f"'{name}' of row 4 has NaN or infinite"):
        bad.save(path)
    assert not os.listdir(tmp_path)
    latent_set(std=torch.ones(6, 4)).save(path)
    from safetensors import safe_open

    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
    save_file({"latents": bad.latents, "std": bad.std}, path, metadata=metadata)
    with pytest.raises(LatentsError, match=f"bad.safetensors: '{name}' of row 4 has NaN or infinite"):
        LatentSet.load(path)


def test_values_too_large_for_float16_are_refused(tmp_path):
    latents = latent_set(latents=torch.full((6, 4), 70000.0))
    with pytest.raises(LatentsError, match="row 0 reaches 70000, beyond float16") as caught:
        latents.save(tmp_path / "x.safetensors", dtype=torch.float16)
    assert "float32" in caught.value.hint
    latents.save(tmp_path / "x.safetensors")
    with pytest.raises(LatentsError, match="cannot be stored as bfloat16"):
        latents.save(tmp_path / "x.safetensors", dtype=torch.bfloat16)


def test_the_model_at_hand_is_checked(tmp_path):
    spec = model_spec()
    path = tmp_path / "set.safetensors"
    latent_set(fingerprint=spec.fingerprint).save(path)
    assert len(LatentSet.load(path, model=spec)) == 6
    with pytest.raises(FingerprintError, match="other weights of fake/model"):
        LatentSet.load(path, model=model_spec(adapter_version=2))
    with pytest.raises(FingerprintError, match="latents of fake/model, not of fake/other"):
        LatentSet.load(path, model=model_spec("fake/other"))
    latent_set(shape=(5,), fingerprint=spec.fingerprint).save(path)
    with pytest.raises(LatentsError, match=r"latents have shape 5, but those of fake/model have 4"):
        LatentSet.load(path, model=spec)


def test_latents_whose_sizes_vary_fit_their_spec(tmp_path):
    spec = model_spec(latent=(4, None, None))
    latents = latent_set(shape=(4, 3, 5), fingerprint=spec.fingerprint)
    latents.save(tmp_path / "set.safetensors")
    assert LatentSet.load(tmp_path / "set.safetensors", model=spec).latent_shape == (4, 3, 5)


@pytest.mark.parametrize("name", ["text", "folder", "missing", "foreign", "version", "unknown", "integers"])
def test_files_that_are_no_latent_sets(tmp_path, name):
    path = tmp_path / "x.safetensors"
    header = '{"format_version": %d, "model": "a/b", "fingerprint": "' + FINGERPRINT + '"}'
    makers = {
        "text": lambda: path.write_text("hello"),
        "folder": path.mkdir,
        "missing": lambda: None,
        "foreign": lambda: save_file({"weight": torch.zeros(3)}, path),
        "version": lambda: save_file({"latents": torch.zeros(3, 2)}, path, metadata={"ltzoo": header % 2}),
        "unknown": lambda: save_file(
            {"latents": torch.zeros(3, 2), "more": torch.zeros(1)}, path, metadata={"ltzoo": header % 1}
        ),
        "integers": lambda: save_file(
            {"latents": torch.zeros(3, 2, dtype=torch.int32)}, path, metadata={"ltzoo": header % 1}
        ),
    }
    messages = {
        "text": "cannot be read as safetensors",
        "folder": "is a folder",
        "missing": "no such file",
        "foreign": "not a latent set",
        "version": "has format version 2, this ltzoo reads 1",
        "unknown": "unknown tensor 'more'",
        "integers": "latents are int32",
    }
    makers[name]()
    with pytest.raises(LatentsError, match=messages[name]) as caught:
        LatentSet.load(path)
    assert str(path) in caught.value.message


def test_saving_replaces_whole_files_and_keeps_their_mode(tmp_path):
    path = tmp_path / "set.safetensors"
    latent_set().save(path)
    assert stat.S_IMODE(path.stat().st_mode) & 0o444 == 0o666 & ~_umask() & 0o444
    path.chmod(0o640)
    latent_set(n=3).save(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert len(LatentSet.load(path)) == 3
    link = tmp_path / "link.safetensors"
    link.symlink_to(path)
    latent_set(n=2).save(link)
    assert link.is_symlink()
    assert len(LatentSet.load(path)) == 2


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_a_file_that_cannot_be_written_is_named(tmp_path):
    with pytest.raises(LatentsError, match="cannot be written: no folder"):
        latent_set().save(tmp_path / "no" / "set.safetensors")
    with pytest.raises(LatentsError, match="cannot be written: Is a directory"):
        latent_set().save(tmp_path)
    assert not os.listdir(tmp_path)
