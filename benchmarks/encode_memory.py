"""Peak memory of encoding a small and a large data set: ``python benchmarks/encode_memory.py``.

Each size is encoded in a process of its own from a compressed .npz, a plain .npz and a .npy file of 28 x 28
images, by a small convolutional model; the figure is the process's highest resident set size. The bar: the large
set takes at most 1.2 times the memory of the small one. Exit code 1 if one does not.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

BAR = 1.2
KINDS = ("compressed.npz", "plain.npz", "plain.npy")


def write_data(path: Path, n: int) -> None:
    import numpy as np

    x = np.random.default_rng(0).integers(0, 256, (n, 28, 28), dtype=np.uint8)
    if path.suffix == ".npy":
        np.save(path, x)
    else:
        save = np.savez_compressed if path.name.startswith("compressed") else np.savez
        save(path, x=x, y=np.arange(n) % 10)


def encode(source: Path, target: Path) -> None:
    """Runs in the measured process."""
    import resource

    import torch

    from ltzoo.latents import encode_to_file
    from ltzoo.media import ArrayItems
    from ltzoo.spec import DataSpec, LatentSpec, ModelSpec

    class TinyVAE:
        spec = ModelSpec(
            id="bench/tiny",
            title="Two convolutions",
            data=DataSpec(modality="image", shape=(1, 28, 28), fit="ink"),
            latent=LatentSpec(shape=(16,), stochastic=True),
            capabilities=frozenset({"encode"}),
            license="Apache-2.0",
            loader="benchmarks:none",
        )

        def __init__(self) -> None:
            torch.manual_seed(0)
            self.net = torch.nn.Sequential(
                torch.nn.Conv2d(1, 8, 4, 2, 1),
                torch.nn.ReLU(),
                torch.nn.Conv2d(8, 16, 4, 2, 1),
                torch.nn.Flatten(),
                torch.nn.Linear(784, 32),
            )

        def posterior(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            mean, log_std = self.net(x).chunk(2, dim=1)
            return mean, log_std.exp()

    torch.set_num_threads(1)
    items = ArrayItems(source, TinyVAE.spec.data)
    encode_to_file(TinyVAE(), items, target, batch_size=256, dtype=torch.float16)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # Kilobytes, but bytes on macOS.
    print(peak / (2**20 if sys.platform == "darwin" else 2**10))


def peak_megabytes(kind: str, n: int) -> float:
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / kind
        # Made in a process of its own, since a child's figure starts at its parent's.
        subprocess.run([sys.executable, __file__, "--write", source, "--small", str(n)], check=True)
        run = subprocess.run(
            [sys.executable, __file__, "--encode", source], check=True, stdout=subprocess.PIPE, text=True
        )
        return float(run.stdout)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--small", type=int, default=20_000)
    parser.add_argument("--large", type=int, default=200_000)
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS)
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.add_argument("--write", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--encode", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.write is not None:
        write_data(options.write, options.small)
        return 0
    if options.encode is not None:
        encode(options.encode, options.encode.with_suffix(".safetensors"))
        return 0
    reports = []
    for kind in options.kinds:
        small, large = (peak_megabytes(kind, n) for n in (options.small, options.large))
        reports.append({"source": kind, "small_mb": small, "large_mb": large, "ratio": large / small})
        if not options.json:
            print(
                f"{kind}: {options.small} images {small:.0f} MB, {options.large} images {large:.0f} MB, "
                f"ratio {large / small:.3f} (at most {BAR})",
                flush=True,
            )
    if options.json:
        print(json.dumps({"small": options.small, "large": options.large, "sources": reports}))
    return int(any(report["ratio"] > BAR for report in reports))


if __name__ == "__main__":
    sys.exit(main())
