"""``ltzoo export``."""

from __future__ import annotations

import re
from itertools import permutations
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ltzoo.cli.base import Command, json_option
from ltzoo.cli.output import note, print_json
from ltzoo.cli.params import BRIDGE, MODEL
from ltzoo.cli.references import offline_option, pin
from ltzoo.errors import UsageError

if TYPE_CHECKING:
    from ltzoo.bridge.onnx_graph import OnnxGraph

SUFFIX = ".onnx"


@click.command(cls=Command)
@click.argument("bridge", type=BRIDGE)
@click.option(
    "--onnx",
    "output",
    type=click.Path(path_type=Path),
    required=True,
    metavar="DIR|FILE.onnx",
    help="Folder for one file a direction, or the file of the only one.",
)
@click.option(
    "--from",
    "source",
    metavar="MODEL",
    shell_complete=MODEL.shell_complete,
    help="Only directions from this model.",
)
@click.option(
    "--to",
    "target",
    metavar="MODEL",
    shell_complete=MODEL.shell_complete,
    help="Only directions to this model.",
)
@offline_option
@json_option
def export(bridge: str, output: Path, source: str | None, target: str | None, as_json: bool) -> None:
    """Export BRIDGE for programs without torch or Python, each direction as an ONNX graph, and print the files.

    BRIDGE is an id of 'ltzoo bridges', local:PATH, hf:org/repo, or hf:org/repo@commit. A graph takes 'latents' and
    gives 'translated', float32, any number at once; models, fingerprints and licences are in its metadata. It is
    compared with torch if onnxruntime is installed. Needs ltzoo[onnx]. The models need not be installed.
    """
    from ltzoo.bridge import Bridge
    from ltzoo.bridge.onnx_graph import export_onnx

    bridge = pin(bridge)
    used = Bridge.from_pretrained(bridge)
    for model in filter(None, (source, target)):
        used.index(model)  # names the near ones if it is none of the bridge's
    directions = [
        (a, b) for a, b in permutations(used.models, 2) if source in (None, a) and target in (None, b)
    ]
    if not directions:
        raise UsageError(f"no direction leads from {source} to {target}")
    single = output.suffix == SUFFIX
    if single and len(directions) > 1:
        raise UsageError(
            f"{output} is one file, but there are {len(directions)} directions",
            hint="--from MODEL --to MODEL, or a folder",
        )
    (output.parent if single else output).mkdir(parents=True, exist_ok=True)
    graphs = []
    for a, b in directions:
        path = output if single else output / f"{_file_name(a)}--{_file_name(b)}{SUFFIX}"
        graph = export_onnx(used, path, source=a, target=b, metadata={"ltzoo.bridge": bridge})
        graphs.append(graph)
        note(f"{a} -> {b}: {_remark(graph)}")
    if as_json:
        print_json("export", {"bridge": bridge, "graphs": [_row(graph) for graph in graphs]})
    else:
        for graph in graphs:
            click.echo(graph.path)


def _file_name(model: str) -> str:
    return re.sub(r"[^\w.@-]", "-", model)


def _row(graph: OnnxGraph) -> dict[str, Any]:
    return {
        "path": str(graph.path),
        "source": graph.source,
        "target": graph.target,
        "shape": graph.shape,
        "multiples": graph.multiples,
        "difference": graph.difference,
    }


def _remark(graph: OnnxGraph) -> str:
    from ltzoo.spec import format_shape

    said = f"takes n x {format_shape(graph.shape)}"
    if graph.multiples:
        said += f", sizes in multiples of {format_shape(graph.multiples)}"
    if graph.difference is None:
        return f"{said}; not compared with torch, as onnxruntime is not installed"
    return f"{said}; within {graph.difference:.1g} of torch"
