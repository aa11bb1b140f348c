"""What the Hub reads from a repository's README.md: its metadata, the tags it makes of them, what it refuses."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import yaml

FRONT = re.compile(r"\A---\r?\n(.*?)\r?\n---\s*(?:\r?\n|\Z)", re.DOTALL)

# https://huggingface.co/docs/hub/repositories-licenses: the identifiers are of lower case.
LICENSES = frozenset(
    [
        "afl-3.0",
        "agpl-3.0",
        "apache-2.0",
        "apple-amlr",
        "apple-ascl",
        "artistic-2.0",
        "bigcode-openrail-m",
        "bigscience-bloom-rail-1.0",
        "bigscience-openrail-m",
        "bsd",
        "bsd-2-clause",
        "bsd-3-clause",
        "bsd-3-clause-clear",
        "bsl-1.0",
        "c-uda",
        "cc",
        "cc-by-2.0",
        "cc-by-2.5",
        "cc-by-3.0",
        "cc-by-4.0",
        "cc-by-nc-2.0",
        "cc-by-nc-3.0",
        "cc-by-nc-4.0",
        "cc-by-nc-nd-3.0",
        "cc-by-nc-nd-4.0",
        "cc-by-nc-sa-2.0",
        "cc-by-nc-sa-3.0",
        "cc-by-nc-sa-4.0",
        "cc-by-nd-4.0",
        "cc-by-sa-3.0",
        "cc-by-sa-4.0",
        "cc0-1.0",
        "cdla-permissive-1.0",
        "cdla-permissive-2.0",
        "cdla-sharing-1.0",
        "creativeml-openrail-m",
        "deepfloyd-if-license",
        "ecl-2.0",
        "epl-1.0",
        "epl-2.0",
        "etalab-2.0",
        "eupl-1.1",
        "eupl-1.2",
        "gemma",
        "gfdl",
        "gpl",
        "gpl-2.0",
        "gpl-3.0",
        "intel-research",
        "isc",
        "lgpl",
        "lgpl-2.1",
        "lgpl-3.0",
        "lgpl-lr",
        "llama2",
        "llama3",
        "llama3.1",
        "llama3.2",
        "llama3.3",
        "llama4",
        "lppl-1.3c",
        "mit",
        "mpl-2.0",
        "ms-pl",
        "ncsa",
        "odbl",
        "odc-by",
        "ofl-1.1",
        "openrail",
        "openrail++",
        "osl-3.0",
        "other",
        "pddl",
        "postgresql",
        "unknown",
        "unlicense",
        "wtfpl",
        "zlib",
    ]
)


def metadata(readme: str) -> dict[str, Any]:
    """The YAML block at the top; empty where there is none or it is not YAML."""
    front = FRONT.match(readme)
    try:
        found = yaml.safe_load(front[1]) if front else None
    except yaml.YAMLError:
        return {}
    return found if isinstance(found, dict) else {}


def tags(data: dict[str, Any]) -> list[str]:
    """The tags that the Hub's search knows a repository by."""
    found = [*_listed(data.get("library_name")), *_listed(data.get("tags")), *_listed(data.get("language"))]
    found += [f"dataset:{name}" for name in _listed(data.get("datasets"))]
    found += [f"base_model:{name}" for name in _listed(data.get("base_model"))]
    found += [f"license:{name}" for name in _listed(data.get("license"))]
    return list(dict.fromkeys([*found, "region:us"]))


def check(readme: str) -> tuple[list[str], list[str]]:
    """The errors and the warnings that the Hub has about a model's README.md."""
    front = FRONT.match(readme)
    if front is None:
        return [], ["empty or missing yaml metadata in repo card"]
    try:
        data = yaml.safe_load(front[1])
    except yaml.YAMLError as error:
        return [f"YAML Metadata Error: {error}"], []
    if not isinstance(data, dict):
        return ["YAML Metadata Error: the metadata must be an object"], []
    return list(_errors(data)), []


def _errors(data: dict[str, Any]) -> Iterator[str]:
    for name in ("library_name", "pipeline_tag", "license_name", "license_link"):
        if name in data and not isinstance(data[name], str):
            yield f'"{name}" must be a string'
    for name in ("tags", "language", "license", "base_model", "datasets", "metrics"):
        values = _listed(data.get(name))
        if name in data and not (values and all(isinstance(value, str) for value in values)):
            yield f'"{name}" must be a string or an array of strings'
    if "tags" in data and not isinstance(data["tags"], list):
        yield '"tags" must be an array'
    for name in _listed(data.get("license")):
        if name not in LICENSES:
            yield f'"license" must be one of [{", ".join(sorted(LICENSES))}]'
    if "model-index" in data:
        yield from _index_errors(data["model-index"])


def _index_errors(index: Any) -> Iterator[str]:
    if not isinstance(index, list):
        yield '"model-index" must be an array'
        return
    needed = {"task": ("type",), "dataset": ("type", "name")}
    for i, model in enumerate(index):
        if not isinstance(model, dict) or not isinstance(model.get("name"), str):
            yield f'"model-index[{i}].name" is required'
            continue
        for j, result in enumerate(model.get("results") or []):
            place = f"model-index[{i}].results[{j}]"
            for part, names in needed.items():
                for name in names:
                    if not isinstance(_field(_field(result, part), name), str):
                        yield f'"{place}.{part}.{name}" is required'
            metrics = _field(result, "metrics")
            if not isinstance(metrics, list) or not metrics:
                yield f'"{place}.metrics" is required'
                continue
            for k, metric in enumerate(metrics):
                if not isinstance(_field(metric, "type"), str) or _field(metric, "value") is None:
                    yield f'"{place}.metrics[{k}]" must have a type and a value'


def _field(value: Any, name: str) -> Any:
    return value.get(name) if isinstance(value, dict) else None


def _listed(value: Any) -> list[Any]:
    return [] if value is None else value if isinstance(value, list) else [value]
