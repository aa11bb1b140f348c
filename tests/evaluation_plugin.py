"""The models of `evaluation_world` as a plugin, with a data set that ships their latents and a judge.

The data set's files are written by `ship` into a package of the test's own.
"""

from __future__ import annotations

from importlib.metadata import EntryPoint
from pathlib import Path

from evaluation_world import NAMES, A, B, NearestCentre, Plain, make_latents, make_spec

from ltzoo import hookimpl
from ltzoo.hub import file_sha256
from ltzoo.plugins import PluginHost
from ltzoo.spec import DatasetSpec, DataSpec, FileSpec, JudgeSpec, LatentFile, Source
from ltzoo.zoo import Zoo

PACKAGE = "evaluation_world_files"
datasets: list[DatasetSpec] = []


@hookimpl
def register_models():
    return [make_spec(id, loader="evaluation_plugin:load") for id in (A, B)]


@hookimpl
def register_datasets():
    return datasets


def load(spec, *, device):
    return Plain(spec)


def load_judge(spec, *, device):
    return NearestCentre()


def ship(folder: Path, *, judge: bool = True, **latents) -> Zoo:
    """Writes the latent sets into a package in ``folder``, and gives the zoo that serves them."""
    (folder / PACKAGE).mkdir()
    (folder / PACKAGE / "__init__.py").touch()
    files = []
    for id in (A, B):
        path = folder / PACKAGE / f"{id[-1]}.safetensors"
        make_latents(id, **latents).save(path)
        files.append(FileSpec(name=path.name, sha256=file_sha256(path)))
    source = Source(package=PACKAGE, files=tuple(files))
    datasets[:] = [
        DatasetSpec(
            id="toy/world",
            title="world",
            data=DataSpec(modality="array"),
            license="MIT",
            labels=NAMES,
            latents=tuple(LatentFile(model=id, file=file) for id, file in zip((A, B), files, strict=True)),
            source=source,
            judge=JudgeSpec(
                loader="evaluation_plugin:load_judge",
                source=Source(),
                accuracy=1.0,
                command="-",
                license="MIT",
            )
            if judge
            else None,
        )
    ]
    return Zoo(PluginHost([EntryPoint("toy", "evaluation_plugin", "ltzoo")]))
