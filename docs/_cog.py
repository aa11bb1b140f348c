"""What cog writes into these pages: help texts and tables, taken from the code. See ``make docs``."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from dataclasses import fields
from importlib import import_module
from pathlib import Path
from types import ModuleType

import click
from click.testing import CliRunner

from ltzoo import errors, settings
from ltzoo.cli.base import LazyGroup
from ltzoo.cli.main import root
from ltzoo.errors import ExitCode, LtzooError

WIDTH = 100
ROOT = Path(__file__).resolve().parents[1]

EXIT_CODES = {
    ExitCode.OK: "Done.",
    ExitCode.FAILED: "It did not work: an input cannot be read, an output cannot be written, training cannot go on.",
    ExitCode.USAGE: "The request makes no sense as it stands, or names something unknown; near names are suggested.",
    ExitCode.PLUGIN: "A plugin that is needed is missing (the install command is printed) or broken.",
    ExitCode.OFFLINE: "A file is not cached, and the Hugging Face Hub cannot be reached.",
    ExitCode.INTEGRITY: "A file is not what it should be, or latents or a bridge belong to other weights: refused.",
    ExitCode.INTERRUPTED: "Ctrl-C. What can be resumed has said so.",
}

SETTINGS = {
    "device": "Where models and bridges compute: `cpu`, `cuda`, `cuda:1`, `mps`. The option `--device` wins.",
    "plugins": "The only plugins to load; empty for none. Separated by commas.",
    "disable_plugins": "Plugins to go without. Separated by commas.",
    "strict_plugins": "Stop with exit code 3 at the first fault of a plugin. For those who write plugins, and for CI.",
    "registry": "Your registries, which come first: `registry.toml` files, or `hf:org/repo@COMMIT`. Separated as in `PATH`; "
    "`ltzoo registry add` writes them into `config.toml`.",
}

MEASURES = {
    "transfer_accuracy": "Share of the translations in which the target's judge reads the source's true class.",
    "transfer_accuracy_share": "Transfer accuracy over what random same-class retrieval reaches. Above 1 is sharpening: "
    "retrieval answers with real latents.",
    "reconstruction_share": "Transfer accuracy over the judge's accuracy on the target's own held-out latents, decoded.",
    "clean_transfer_accuracy": "Transfer accuracy on the sources whose class a separate latent classifier gets right.",
    "fid": "Fréchet distance of the judge's features of all translations from those of the target's own items.",
    "class_fid": "The Fréchet distance class by class, averaged: it sees what lands in the wrong class.",
    "clean_class_fid": "The class-wise distance on the sources that can be told apart.",
    "precision": "Share of the translations that lie among the target's own items, in the judge's features.",
    "recall": "Share of the target's own items that lie among the translations.",
    "density": "How many neighbourhoods of own items a translation lies in, over `k`; outliers do not raise it.",
    "coverage": "Share of the target's own items that have a translation in their neighbourhood.",
    "spread": "Variance of the translations inside a class, over that of the target's own items. 0 is one answer a "
    "class.",
    "clean_spread": "The spread on the sources that can be told apart.",
    "neighbourhood_overlap": "Share of the ten nearest latents of an item that are still among its nearest after "
    "translation. By chance `10 / (n - 1)`.",
    "smoothness": "Two items of a class, joined by a straight line in the source: how straight and even the way of its "
    "translations is, in the judge's features. One jump has `1 / steps`.",
    "cycle_accuracy": "Share of the items in which the source's judge reads the true class after a translation there "
    "and back.",
    "noisy_cycle_accuracy": "Cycle accuracy with noise as large as the target model's posterior added half-way.",
    "cycle_r2": "Share of the variance of the source latents that comes back.",
    "noisy_cycle_r2": "Cycle R² with that noise: what comes back through what the target model itself can tell apart.",
    "paired_r2": "Share of the variance of the true target latents that the translations explain.",
    "paired_cosine": "Cosine of the angle between a translation and its true target latent.",
    "top1_retrieval": "Share of the translations whose nearest target latent, by cosine, is the true one.",
    "mean_rank": "Mean place of the true latent among all, by cosine; 1 is first.",
    "psnr": "Peak signal-to-noise ratio of the decoded translation against the decoded true latent.",
    "ssim": "Structural similarity of the same two images.",
    "log_spectral_distance": "Distance of the log power spectra of the same two sounds.",
}

NEEDS = {
    "labels": "labels",
    "judge": "a judge",
    "return judge": "a judge of the source",
    "train": "train latents",
    "posterior": "posteriors",
    "pairs": "pairs",
    "image": "images",
    "audio": "sounds",
}

IDEALS = {"higher": "more", "lower": "less", "one": "1"}

REFERENCES = {
    "class-prototype": (
        "One latent a class: the one nearest to the class's mean.",
        "Spread and recall are 0, and nothing of the individual is left.",
    ),
    "random-retrieval": (
        "Any train latent of the class.",
        "Neighbourhood overlap is near chance, and no cycle comes back.",
    ),
    "nearest-retrieval": (
        "The train latent of the class that lies where the source does, both standardised.",
        "Few latents are nearest to many sources: recall, coverage and spread fall.",
    ),
    "class-prior": (
        "A draw from a Gaussian with the class's mean and covariance.",
        "A class is no Gaussian, so fidelity suffers; structure is near chance.",
    ),
    "re-encode": (
        "Decodes with the source model, encodes with the target model.",
        "A digit stays a digit: no measure of class or distribution forgives that, unless both models are of the "
        "same data.",
    ),
}

PROTOCOL = {
    "items": "Held-out latents of a direction; of larger test parts evenly spaced ones are taken.",
    "seeds": "Of everything random. A figure is the mean over them; `std` its deviation.",
    "sample": "Whether bridges draw z' instead of taking its mean.",
    "manifold_neighbours": "`k` of precision, recall, density and coverage.",
    "neighbours": "`k` of the neighbourhood overlap.",
    "paths": "Interpolations of the smoothness.",
    "path_steps": "Steps of each.",
    "draws": "Bootstrap resamples of an interval.",
    "frechet_draws": "Of Fréchet distances and spreads, which take longer.",
    "level": "Share of the resamples that an interval holds.",
    "batch": "Latents decoded at a time.",
}

ONLY_ENVIRONMENT = {
    "LTZOO_HOME": "Folder of `config.toml` and of the record of installed plugins; see `ltzoo path`.",
    "LTZOO_DEBUG": "Show the traceback of an error, as `-v` does.",
    "HF_HOME": "Where the Hugging Face cache lies; it holds all downloaded weights.",
    "HF_HUB_OFFLINE": "Take files from the cache only.",
    "HF_ENDPOINT": "Another address of the Hub.",
    "HF_TOKEN": "For private repositories of the Hub.",
}


def help_texts() -> str:
    """A section with its help for the root and for every command, those of plugins aside."""
    return _spaced("\n\n".join(_help(path) for path in command_paths()))


def command_paths() -> Iterator[tuple[str, ...]]:
    """The words of every command behind ``ltzoo``, groups before what is in them."""
    yield ()
    for name in root.lazy:
        yield (name,)
        command = root.get_command(click.Context(root), name)
        if isinstance(command, click.Group):
            for inner in command.list_commands(click.Context(command)):
                yield (name, inner)


def exit_codes() -> str:
    """The table of exit codes, with the errors that end in each."""
    rows = []
    for code in ExitCode:
        names = [name for name in errors.__all__ if _ends_in(getattr(errors, name), code)]
        rows.append((str(int(code)), code.name, EXIT_CODES[code], ", ".join(f"`{name}`" for name in names)))
    return _spaced(_table(("code", "`ExitCode`", "meaning", "errors"), rows))


def environment() -> str:
    """The table of environment variables and of the keys of ``config.toml``."""
    rows = [
        (f"`LTZOO_{name.upper()}`", f"`{name}`", _default(default), SETTINGS[name])
        for name, default in settings.DEFAULTS.items()
    ]
    rows += [(f"`{name}`", "", "", text) for name, text in ONLY_ENVIRONMENT.items()]
    return _spaced(_table(("variable", "`config.toml`", "default", "meaning"), rows))


def measures() -> str:
    """The table of measures."""
    from ltzoo.evaluation.measures import MEASURES as KNOWN

    rows = [
        (
            f"`{measure.name}`",
            MEASURES[measure.name],
            IDEALS[measure.better],
            ", ".join(NEEDS[need] for need in measure.needs),
        )
        for measure in KNOWN
    ]
    return _spaced(_table(("measure", "what it is", "better", "needs"), rows))


def references() -> str:
    """The table of references, with what each saturates."""
    from ltzoo.evaluation.references import REFERENCES as KNOWN

    rows = [
        (
            f"`{reference.name}`",
            REFERENCES[reference.name][0],
            ", ".join(f"`{name}`" for name in reference.saturates),
            REFERENCES[reference.name][1],
        )
        for reference in KNOWN
    ]
    return _spaced(_table(("reference", "answers with", "saturates", "what gives it away"), rows))


def protocol() -> str:
    """The table of the protocol's settings."""
    from ltzoo.evaluation.protocol import Protocol

    rows = [
        (f"`{field.name}`", _setting(getattr(Protocol(), field.name)), PROTOCOL[field.name])
        for field in fields(Protocol)
    ]
    return _spaced(_table(("setting", "default", "meaning"), rows))


def ranking_rule() -> str:
    """How a bench ranks, and by what."""
    from ltzoo.evaluation.ranking import RANKED, RULE

    return _spaced(f"> {RULE}\n\nRanked by: {', '.join(f'`{name}`' for name in RANKED)}.")


def claims() -> str:
    """The table of the paper's claims, with what became of them."""
    return _spaced(_page().summary())


def claims_recipe() -> str:
    """The table of what the runs have different from the paper's recipe."""
    return _spaced(_page().recipe())


def claims_one_by_one() -> str:
    """A section for each of the paper's claims."""
    return _spaced(_page().sections())


def _page() -> ModuleType:
    """What writes the results down; it lies beside what measured them."""
    if str(ROOT) not in sys.path:
        sys.path.insert(0, str(ROOT))
    return import_module("benchmarks.claims.page")


def _spaced(text: str) -> str:
    """With blank lines around it: Markdown would take the end marker for a part of a table."""
    return f"\n{text}\n"


def _help(path: tuple[str, ...]) -> str:
    # A developer's own plugins may bring commands, which are not ltzoo's.
    own, LazyGroup.extra_commands = LazyGroup.extra_commands, lambda self: {}  # type: ignore[method-assign]
    try:
        result = CliRunner().invoke(
            root,
            [*path, "--help"],
            prog_name="ltzoo",
            terminal_width=WIDTH,
            color=False,
            catch_exceptions=False,
        )
    finally:
        LazyGroup.extra_commands = own  # type: ignore[method-assign]
    words = " ".join(("ltzoo", *path))
    if result.exit_code:
        raise RuntimeError(f"{words} --help ended with {result.exit_code}: {result.output}")
    return f"### {words}\n\n```text\n{result.output.rstrip()}\n```"


def _ends_in(value: object, code: ExitCode) -> bool:
    return isinstance(value, type) and issubclass(value, LtzooError) and value.exit_code == code


def _default(value: object) -> str:
    if value is None:
        return "all"
    if isinstance(value, list):
        return "none"
    return f"`{value}`" if isinstance(value, str) else ("yes" if value else "no")


def _setting(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _table(header: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    header = tuple(header)
    lines = [header, tuple("---" for _ in header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
