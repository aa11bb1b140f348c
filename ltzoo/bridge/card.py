"""A bridge's model card: the ``README.md`` of its folder. Torch-free."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import permutations
from shlex import quote
from typing import Any

from ltzoo.bridge.config import BridgeConfig, Metric, Provenance
from ltzoo.licenses import find_license
from ltzoo.spec import format_shape

__all__ = ["Publication", "card_text"]


@dataclass(frozen=True, kw_only=True)
class Publication:
    """What a card says beside the config once the bridge is published.

    Attributes:
        repo: ``org/name`` on the Hub.
        license: Of the bridge's weights: an SPDX identifier, or ``other: where to read it``.
        plugins: Requirements of the packages that serve the models.
    """

    repo: str
    license: str
    plugins: tuple[str, ...]


def card_text(config: BridgeConfig, publication: Publication | None = None) -> str:
    """The card, as Markdown with the front matter that the Hugging Face Hub reads.

    Args:
        config: The bridge's.
        publication: Where it is published and under which licence, if it is.
    """
    specs = [end.spec for end in config.models]
    ids = [spec.id for spec in specs]
    parts = [
        _front_matter(config, publication),
        f"# Bridge: {' ↔ '.join(ids)}",
        "A bridge of ltzoo: a small network, trained on latents alone, that translates between the latent spaces "
        "of these frozen models ([Tian & Engel, 2019](https://arxiv.org/abs/1902.08261)).",
        _table(
            ("model", "modality", "latent", "license", "fingerprint"),
            (
                (s.id, s.data.modality, format_shape(s.latent.shape), s.license, s.fingerprint[:12])
                for s in specs
            ),
        ),
        "## Use",
        *_use(config, publication),
        "## Measured",
        _metrics(config.metrics),
        "## Limits",
        _limits(config),
        "## Classes",
        _classes(config),
        "## Training",
        _run((("recipe", config.recipe.name),), config.trained),
    ]
    for spec, trained in zip(specs[len(specs) - len(config.extended) :], config.extended, strict=True):
        parts += [
            f"{spec.id} was added later. Only its own layers were trained: nothing changed between the others.",
            _run((("added", spec.id),), trained),
        ]
    if publication:
        parts += ["## Licences", _licenses(config, publication)]
    return "\n\n".join(parts) + "\n"


def _use(config: BridgeConfig, publication: Publication | None) -> Iterable[str]:
    source, target = config.models[0].spec, config.models[1].spec
    command, reference = "", 'Path("path/to/this/folder")'
    if publication:
        reference = json.dumps(f"hf:{publication.repo}")
        # A pair of models in the direction that both can take part in, if there is one.
        usable = [
            (a.spec, b.spec)
            for a, b in permutations(config.models, 2)
            if a.spec.can("encode") and b.spec.can("decode")
        ]
        source, target = usable[0] if usable else (source, target)
        packages = " ".join(re.split(r"[<>=!~ ]", plugin, maxsplit=1)[0] for plugin in publication.plugins)
        command = f"ltzoo install {packages}"
        if usable:
            command += f"\nltzoo translate INPUT --from {quote(source.id)} --to {quote(target.id)} --bridge hf:{publication.repo} -o OUTPUT"
        yield f"```sh\n{command}\n```"
    yield (
        "```python\n"
        + ("" if publication else "from pathlib import Path\n\n")
        + "from ltzoo.bridge import Bridge\n\n"
        f"bridge = Bridge.from_pretrained({reference})\n"
        f"latents = bridge.translate(z, source={json.dumps(source.id)}, target={json.dumps(target.id)})\n"
        "```"
    )
    yield (
        f"`z` is what `encode` of {source.id} gives, and `latents` what `decode` of {target.id} takes; ltzoo refuses "
        "to use the bridge with other weights of these models than those with the fingerprints above."
    )


def _limits(config: BridgeConfig) -> str:
    accuracies = [m for m in config.metrics if m.name == "transfer_accuracy"]
    lines = []
    if accuracies:
        worst = min(accuracies, key=lambda metric: metric.value)
        lines.append(
            f"In its weakest direction, {worst.source} → {worst.target}, {worst.value:.1%} of translations keep the class."
        )
    if config.labels.classes:
        lines.append(
            f"It knows {len(config.labels.classes)} classes, and makes one of them of whatever it is given. ltzoo warns "
            "of inputs that are unlike those it was trained on."
        )
    elif not config.trained.pairs:
        lines.append("Nothing ties a class of one model to the same class of another.")
    lines.append("It translates what the models' latents hold: what a model loses on its own is lost.")
    return "\n".join(f"- {line}" for line in lines)


def _licenses(config: BridgeConfig, publication: Publication) -> str:
    rows = [("this bridge", publication.license)]
    rows += [(f"model {end.spec.id}", end.spec.license) for end in config.models]
    rows += [
        (f"data behind latents of {one.model}", one.license)
        for run in (config.trained, *config.extended)
        for one in run.latents
        if one.license
    ]
    return _table(("part", "licence"), dict.fromkeys(rows))


def _license_lines(license: str) -> list[str]:
    """A licence as the Hub reads it."""
    if known := find_license(license):
        return [f"license: {known.hub}"]
    name, _, link = license.partition(":")
    return [
        "license: other",
        f"license_name: {_yaml(name.strip() or 'other')}",
        *([f"license_link: {_yaml(link.strip())}"] if link.strip() else []),
    ]


def _yaml(value: Any) -> str:
    """A value as YAML, in the form of JSON, which YAML contains but for some characters."""
    text = json.dumps(value, ensure_ascii=False)
    return re.sub(r"[\x7f-\x9f\u2028\u2029\ufffe\uffff]", lambda match: f"\\u{ord(match[0]):04x}", text)


def _front_matter(config: BridgeConfig, publication: Publication | None) -> str:
    specs = [end.spec for end in config.models]
    lines = ["---", "library_name: ltzoo"]
    if publication:
        lines += _license_lines(publication.license)
    lines += ["tags:", "- ltzoo", "- latent-translation"]
    lines += [f"- {modality}" for modality in dict.fromkeys(spec.data.modality for spec in specs)]
    lines += [f"- {_yaml(f'joins:{spec.id}')}" for spec in specs]
    repos = dict.fromkeys(spec.source.repo for spec in specs if spec.source.repo)
    if repos:
        lines += ["base_model:", *(f"- {_yaml(repo)}" for repo in repos)]
    if config.metrics:
        # The Hub reads the figures from here.
        lines.append(f"model-index: {_yaml(_model_index(config))}")
    return "\n".join([*lines, "---"])


def _model_index(config: BridgeConfig) -> list[dict[str, Any]]:
    """The figures in the form of the Hub's ``model-index``, one result a direction."""
    results = []
    for source, target in dict.fromkeys((m.source, m.target) for m in config.metrics):
        metrics = [m for m in config.metrics if (m.source, m.target) == (source, target)]
        results.append(
            {
                "task": {"type": "latent-translation", "name": f"{source} → {target}"},
                "dataset": {"type": source, "name": f"held-out latents of {source}"},
                "metrics": [{"type": m.name, "value": m.value} for m in metrics],
            }
        )
    return [{"name": " ↔ ".join(end.spec.id for end in config.models), "results": results}]


def _metrics(metrics: Iterable[Metric]) -> str:
    rows = [
        (
            m.name,
            f"{m.source} → {m.target}",
            f"{m.value:.4g}" + ("" if m.std is None else f" ± {m.std:.2g}"),
            str(m.seeds),
            "" if m.n is None else str(m.n),
            "" if m.command is None else f"`{m.command}`",
        )
        for m in metrics
    ]
    if not rows:
        return "Nothing yet."
    return _table(("measure", "direction", "value", "seeds", "latents", "command"), rows)


def _classes(config: BridgeConfig) -> str:
    labels = config.labels
    if not labels.classes and config.trained.pairs:
        return "Trained without labels: pairs tie the models."
    if not labels.classes:
        return (
            "Trained without labels: nothing ties a class of one model to the same class of another, so "
            "translations need not keep the class."
        )
    how = {"names": "equal names", "position": "position", "given": "a given map", "none": ""}[labels.origin]
    ids = [end.spec.id for end in config.models]
    rows = [
        (name, *(", ".join(k for k, v in labels.models[model].items() if v == name) for model in ids))
        for name in labels.classes
    ]
    return f"Labels were joined by {how}.\n\n" + _table(("class", *ids), rows)


def _workers(trained: Provenance) -> str:
    threads = f"{trained.threads} threads"
    return threads if trained.processes is None else f"{trained.processes} processes of {threads}"


def _run(first: Iterable[tuple[str, str]], trained: Provenance) -> str:
    rows = [
        *first,
        (
            "steps",
            f"{trained.steps} in {trained.seconds:.0f} s on {trained.device} ({_workers(trained)})",
        ),
        ("seed", str(trained.seed)),
        ("date", trained.date),
        ("versions", f"ltzoo {trained.ltzoo}, torch {trained.torch}"),
    ]
    rows += [
        (f"latents of {one.model}", f"{one.items}" + (f", data under {one.license}" if one.license else ""))
        for one in trained.latents
    ]
    rows += [(f"pairs of {' and '.join(one.models)}", f"{one.items}") for one in trained.pairs]
    if trained.command:
        rows.append(("command", f"`{trained.command}`"))
    return _table(("", ""), rows)


def _table(header: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    lines = [_row(header), _row("---" for _ in header)]
    return "\n".join([*lines, *(_row(row) for row in rows)])


def _row(cells: Iterable[str]) -> str:
    # Texts come from specs that others wrote: no cell may break out of its table.
    return "| " + " | ".join(re.sub(r"\s+", " ", cell).replace("|", "\\|") for cell in cells) + " |"
