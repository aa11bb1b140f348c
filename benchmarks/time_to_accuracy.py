"""Seconds until a bridge keeps the class: ``python benchmarks/time_to_accuracy.py``.

Takes the time that `class-axes`, with class inference trained for 100 steps, needs to translate both ways
between mnist/vae and fashion-mnist/vae with 0.9 of the accuracy of random same-class retrieval. Then gives
`tian-engel-2019`, with a trained head, 110 times as long, and measures it in the same way. Exits with 1
if the first falls short of 0.9, or the second does not.
"""

from __future__ import annotations

import sys
import time

from ablation import MODELS, held_out

from ltzoo.bridge import Bridge, get_recipe, train_bridge
from ltzoo.bridge.labels import match_labels
from ltzoo.evaluation.measuring import make_workbench, shipped_latents
from ltzoo.evaluation.metrics.accuracy import correct
from ltzoo.evaluation.protocol import Protocol
from ltzoo.evaluation.references import RandomRetrieval
from ltzoo.evaluation.translation import Translator
from ltzoo.evaluation.workbench import Workbench
from ltzoo.zoo import default_zoo

SHARE, TIMES = 0.9, 110
TRIED = 20
"""Steps that say how long a step of the paper's recipe takes."""


def main() -> int:
    zoo = default_zoo()
    specs = [zoo.models[name] for name in MODELS]
    latents = {spec.id: held_out(shipped_latents(spec, zoo)) for spec in specs}
    labels, _ = match_labels("auto", list(latents.values()))
    bench = make_workbench(specs, latents, labels, zoo=zoo, protocol=Protocol(items=1000), device="cpu")
    sets = list(latents.values())
    wanted = accuracies(RandomRetrieval(bench), bench)

    start = time.perf_counter()
    quick, _ = train_bridge(
        sets, models=specs, recipe=get_recipe("class-axes", inference_steps=100, inference_members=1)
    )
    seconds = time.perf_counter() - start
    ours = told("class-axes", quick, bench, wanted, seconds)

    paper = get_recipe("tian-engel-2019", classifier_head="trained", steps=TRIED)
    _, report = train_bridge(sets, models=specs, recipe=paper)
    steps = round(TIMES * seconds / report.seconds * TRIED)
    paper = get_recipe("tian-engel-2019", classifier_head="trained", steps=steps)
    slow, report = train_bridge(sets, models=specs, recipe=paper)
    theirs = told(f"tian-engel-2019, {steps} steps", slow, bench, wanted, report.seconds)
    reached = [all(share >= SHARE for share in shares) for shares in (ours, theirs)]
    print(
        f"reached {SHARE} both ways: class-axes {reached[0]}, tian-engel-2019 {reached[1]}, in {report.seconds / seconds:.0f} times the time"
    )
    return int(reached != [True, False])


def accuracies(translator: Translator, bench: Workbench) -> list[float]:
    """Transfer accuracy in both directions."""
    found = []
    for source, target in (MODELS, MODELS[::-1]):
        items = bench.side(source).held_out
        classes = bench.side(source).classes_of(items)
        assert classes is not None
        z = translator.translate(items.latents, source=source, target=target, seed=0)
        found.append(float(correct(bench.side(target).classes_read(z), classes).mean()))
    return found


def told(name: str, bridge: Bridge, bench: Workbench, wanted: list[float], seconds: float) -> list[float]:
    shares = [own / bar for own, bar in zip(accuracies(bridge, bench), wanted, strict=True)]
    print(f"{name}: {seconds:.1f} s, of retrieval's accuracy {shares[0]:.3f} / {shares[1]:.3f}", flush=True)
    return shares


if __name__ == "__main__":
    sys.exit(main())
