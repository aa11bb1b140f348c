"""Pages in headless Chromium: what they show, what they complain of, and what they ask for."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from dataclasses import dataclass
from html import unescape
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)

TIMEOUT = 300
"""Seconds that a page may take: a browser is a dozen processes, and tests share the machine."""

needs_chromium = pytest.mark.skipif(
    CHROMIUM is None, reason="no chromium; install it: apt-get install chromium"
)

PROBE = """
<script>
addEventListener("load", async () => {
  const box = element => element.getBoundingClientRect();
  const images = [...document.images];
  const sounds = [...document.querySelectorAll("audio")];
  const played = [];
  for (const sound of sounds) {
    sound.muted = true;
    await sound.play().then(() => played.push(sound.duration), error => played.push(String(error)));
    sound.pause();
  }
  const outside = [], overlaps = [];
  for (const svg of document.querySelectorAll("svg[role=img]")) {
    const frame = box(svg);
    if (!frame.width) continue;
    const texts = [...svg.querySelectorAll("text")];
    for (const text of texts) {
      const own = box(text);
      const left = own.left < frame.left - 1 || own.right > frame.right + 1;
      if (left || own.top < frame.top - 1 || own.bottom > frame.bottom + 1) outside.push(text.textContent);
      for (const other of texts.slice(texts.indexOf(text) + 1)) {
        const its = box(other);
        const across = Math.min(own.right, its.right) - Math.max(own.left, its.left);
        const down = Math.min(own.bottom, its.bottom) - Math.max(own.top, its.top);
        // Boxes are higher than letters.
        if (across > 2 && down > 5) overlaps.push([text.textContent, other.textContent]);
      }
    }
  }
  const cells = [...document.querySelectorAll("th, td")].filter(cell => box(cell).width);
  document.body.dataset.probe = JSON.stringify({
    broken: images.filter(image => !image.naturalWidth).length,
    images: images.length,
    played: played,
    outside: outside,
    overlaps: overlaps,
    wide: document.documentElement.scrollWidth - window.innerWidth,
    spilt: cells.filter(cell => cell.scrollWidth > cell.clientWidth + 1
      && getComputedStyle(cell).overflow === "visible").map(cell => cell.textContent.trim()),
  });
});
</script>
</body>
"""
"""Written into the body's data: the test's own, since reports forbid scripts."""


@dataclass(frozen=True)
class Shown:
    """What became of a page.

    Attributes:
        dom: The page as it was in the end.
        complaints: What it wrote to the console, and what was refused.
        requests: What it asked for over the network.
    """

    dom: str
    complaints: list[str]
    requests: list[str]


def show(path: Path, *options: str) -> Shown:
    """Opens a page in a browser of its own, 1280 pixels wide."""
    assert CHROMIUM is not None
    log = path.with_suffix(".net.json")
    done = subprocess.run(
        [
            CHROMIUM,
            "--headless=new",
            "--no-sandbox",
            "--no-first-run",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-extensions",
            "--disable-sync",
            # What the browser wants for itself fails at once, also where names are not resolved.
            "--proxy-server=http://127.0.0.1:9",
            "--window-size=1280,2000",
            f"--user-data-dir={path.parent / 'profile'}",
            "--enable-logging=stderr",
            f"--log-net-log={log}",
            "--autoplay-policy=no-user-gesture-required",
            *options,
            "--dump-dom",
            path.as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    # The rest of stderr is about the machine: no D-Bus, no GPU.
    said = [line for line in done.stderr.splitlines() if re.search(r":CONSOLE|Refused to|net::ERR", line)]
    return Shown(done.stdout, said, _requests(log))


def probe(path: Path) -> dict[str, Any]:
    """What a script sees that looks at the page and plays its sounds."""
    copy = path.with_suffix(".probe.html")
    text = re.sub("<meta http-equiv[^>]*>", "", path.read_text("utf-8"))
    copy.write_text(text.replace("</body>", PROBE), encoding="utf-8")
    shown = show(copy, "--virtual-time-budget=20000")
    found = re.search('data-probe="([^"]*)"', shown.dom)
    assert found, shown.complaints
    result: dict[str, Any] = json.loads(unescape(found[1]))
    return result


def _requests(log: Path) -> list[str]:
    """Requests that the page made; those that the browser makes for itself belong to no file."""
    events = json.loads(log.read_text("utf-8"))["events"]
    made = [event["params"] for event in events if isinstance(event.get("params"), dict)]
    return sorted({one["url"] for one in made if "file://" in str(one.get("network_isolation_key", ""))})
