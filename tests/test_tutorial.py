"""The tutorial from end to end, word for word: a plugin, its tests, a bridge, and the bridge published."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from test_docs import DOCS, blocks
from testhub import Account
from wheels import Environment

TUTORIAL = DOCS / "plugin-tutorial.md"
FILES = re.compile(r"^\*\*`(\S+)`\*\*\n\n```\w+\n(.*?)^```$", re.MULTILINE | re.DOTALL)
STEPS = re.compile(r"^```sh\n(.*?)^```$(?:\n\n```text\n(.*?)^```$)?", re.MULTILINE | re.DOTALL)


def workplace(folder: Path, weights: Path) -> dict[str, str]:
    """An environment that stands in for the reader's: its variables.

    ``ltzoo`` and ``python`` are its own; ``curl`` takes the files from ``weights``; pip has no index.
    """
    environment = Environment(folder / "venv")
    programs = environment.python.parent
    scripts = {
        "ltzoo": f'exec "{environment.python}" -m ltzoo "$@"',
        "curl": f'file=$(basename "$5" | sed s/LICENSE/taef2.LICENSE/) && cp "{weights}/$file" "$4"',
    }
    for name, line in scripts.items():
        (programs / name).write_text(f"#!/bin/sh\n{line}\n")
        (programs / name).chmod(0o755)
    return {
        **os.environ,
        "PATH": f"{programs}:/usr/bin:/bin",
        "LTZOO_HOME": str(folder / "home"),
        "LTZOO_STRICT_PLUGINS": "1",
        "OMP_NUM_THREADS": "1",
        "PIP_NO_INDEX": "1",
        "PIP_NO_DEPS": "1",
        "PIP_NO_BUILD_ISOLATION": "0",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    }


def photo(emoji: np.ndarray) -> Image.Image:
    """Two emoji, side by side, enlarged to 128 pixels each."""
    return Image.fromarray(np.concatenate(emoji[:2], axis=1)).resize((256, 128), Image.Resampling.BICUBIC)


@pytest.mark.data
@pytest.mark.slow
def test_the_tutorial_makes_a_working_plugin_and_a_published_bridge(
    tmp_path, shared_data, hub, hub_environment
):
    hub.accounts["hf_reader_of_the_page"] = Account("your-name")
    hub_environment.use(token="hf_reader_of_the_page")
    text = TUTORIAL.read_text(encoding="utf-8")
    variables = workplace(tmp_path, shared_data.parent / "weights")

    def shell(script: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", "-euc", script], cwd=tmp_path, env=variables, capture_output=True, text=True, check=False
        )

    for name, content in FILES.findall(text):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content)
    emoji = np.load(shared_data / "emoji_pairs.npz")["x_google"]
    image = photo(emoji)
    image.save(tmp_path / "photo.png")
    image.resize((500, 375)).save(tmp_path / "wide.png")
    (tmp_path / "photos").mkdir()
    for number, picture in enumerate(emoji[2::7][:250]):
        size = (96, 64 + number % 3)
        Image.fromarray(picture).resize(size, Image.Resampling.BICUBIC).save(
            tmp_path / "photos" / f"{number:03}.png"
        )

    steps = STEPS.findall(text)
    assert len(steps) == 13
    for script, expected in steps:
        result = shell(script)
        assert result.returncode == 0, f"{script}{result.stdout}{result.stderr}"
        if expected:
            assert result.stdout == expected
        if "-m pytest" in script:
            assert " passed" in result.stdout.splitlines()[-1]

    # The plugin.
    with Image.open(tmp_path / "back.png") as back:
        difference = (np.asarray(back, dtype=float) - np.asarray(image, dtype=float)) / 255
    psnr = -10 * np.log10(np.square(difference).mean())
    assert 32 < psnr < 40
    before = sorted(tmp_path.iterdir())
    result = shell("ltzoo encode taef2/ae wide.png -o wide.safetensors")
    assert result.returncode == 1
    assert result.stderr in blocks(TUTORIAL, "text")
    assert sorted(tmp_path.iterdir()) == before

    # The bridge.
    config = json.loads((tmp_path / "previews" / "config.json").read_text())
    r2 = {m["source"]: m["value"] for m in config["metrics"] if m["name"] == "paired_r2"}
    told = [float(said) for said in re.findall(r"is about (0\.\d+)", text)]
    assert [r2["taef2/ae"], r2["thumbnails/thumbnail"]] == pytest.approx(told, abs=0.1)
    assert "of true counterparts" in (tmp_path / "previews.svg").read_text()
    preview = (tmp_path / "preview.png").read_bytes()
    assert (tmp_path / "from-the-hub.png").read_bytes() == preview
    with Image.open(tmp_path / "preview.png") as found:
        # photo.png is two emoji wide; its latent is brought to the size trained on, and the preview is square.
        small = image.resize((8, 8), Image.Resampling.BOX)
        assert found.size == (8, 8)
        near = np.corrcoef(np.asarray(found, float).ravel(), np.asarray(small, float).ravel())[0, 1]
    assert near > 0.8
    assert set(hub.files("your-name/flux2-previews")) >= {"README.md", "config.json", "model.safetensors"}
