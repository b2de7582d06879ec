"""What a page that watches for hours keeps in memory.

`python -m tests.browser.heap --frames 18000` starts a site, opens a job's page, the studio and the
operators' queue, and sends previews about as fast as a page may acknowledge them; 18,000 are an
hour's, at five a second. It prints what each page has in use, after garbage collection, every tenth
of the way.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import psutil
from playwright.sync_api import StorageState

from tests.browser.live.sights import STATE
from tests.browser.person import sign_in
from tests.browser.stagehand import Stagehand, stagehand
from tests.browser.tabs import Tab, window
from tests.stage import chromium, running

PER_SECOND = 90.0  # a page that says more than 60 things a second is sent away: it answers for two
FRAME_SECONDS = 1.0  # at most, from one to the next

# Counts the sprites that were decoded, and those of them that are not closed: their pixels are in
# no heap.
SPY = """
  window.decoded = 0;
  window.sprites = 0;
  const [decode, close] = [window.createImageBitmap, ImageBitmap.prototype.close];
  window.createImageBitmap = async (...args) => {
    const sprite = await decode(...args);
    window.decoded += 1;
    window.sprites += 1;
    return sprite;
  };
  ImageBitmap.prototype.close = function () {
    window.sprites -= 1;
    return close.call(this);
  };
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Footprint:
    frames: int  # drawn
    heap: int  # bytes in use: objects, those of the DOM, and what array buffers hold
    sprites: int
    nodes: int
    listeners: int
    private: int  # bytes of the tab's process


class Watched:
    """A tab that counts: it was opened with SPY. In a window of its own, for a hidden one rests."""

    def __init__(self, tab: Tab, processes: Callable[[], list[psutil.Process]]) -> None:
        self._tab, self._processes = tab, processes
        tab.call("HeapProfiler.enable")

    def after(self, frames: int) -> Footprint:
        """When it has drawn so many."""
        deadline = time.monotonic() + frames * FRAME_SECONDS
        while (drawn := int(self._tab.get("decoded"))) < frames:
            assert time.monotonic() < deadline, f"only {drawn} of {frames} frames came"
            time.sleep(0.1)
        self._tab.call("HeapProfiler.collectGarbage")
        counters = self._tab.call("Memory.getDOMCounters")
        usage = self._tab.call("Runtime.getHeapUsage")
        parts = ("usedSize", "embedderHeapUsedSize", "backingStorageSize")
        return Footprint(
            frames=drawn,
            heap=sum(int(usage[part]) for part in parts),
            sprites=int(self._tab.get("sprites")),
            nodes=counters["nodes"],
            listeners=counters["jsEventListeners"],
            private=sum(each.memory_full_info().uss for each in self._processes()),
        )


# By its name: whose it is, where it lies, and what starts the pictures there.
PAGES = {
    "job": ("alice", "/jobs/{job}/", ""),
    "studio": ("alice", "/", ""),
    "queue": ("olga", "/queue", "document.querySelector('[data-peek]').click()"),
}


def footprints(
    url: str, signed_in: dict[str, StorageState], hand: Stagehand, frames: int
) -> Iterator[list[Footprint]]:
    """Of the PAGES of those people, every tenth of the way; all watch the same job."""
    (job,) = hand.start()
    with ExitStack() as stack:
        pages = []
        for who, path, start in PAGES.values():
            if who not in signed_in:
                continue
            opened = stack.enter_context(window())
            opened.sign_in(signed_in[who])
            tab = opened.open(url + path.format(job=job), script=SPY)
            tab.wait_for(STATE, "live", seconds=60)
            tab.get(start)
            pages.append(Watched(tab, opened.renderers))
        hand.flood(job, per_second=PER_SECOND)
        try:
            for part in range(1, 11):
                yield [page.after(frames * part // 10) for page in pages]
        finally:
            hand.stop()


def main(frames: int) -> None:
    with (
        tempfile.TemporaryDirectory() as var,
        running(Path(var)) as system,
        stagehand(system) as hand,
    ):
        with chromium() as browser:
            signed_in = {}
            for who in ("alice", "olga"):
                context = browser.new_context(base_url=system.url)
                sign_in(context.new_page(), f"{who}@example.com")
                signed_in[who] = context.storage_state()
        sys.stdout.write("page     frames  heap KiB  sprites  nodes  listeners  process MiB\n")
        for found in footprints(system.url, signed_in, hand, frames):
            for name, each in zip(PAGES, found, strict=True):
                sys.stdout.write(
                    f"{name:8} {each.frames:6} {each.heap / 1024:9.0f} {each.sprites:8} "
                    f"{each.nodes:6} {each.listeners:10} {each.private / 2**20:12.1f}\n"
                )
            sys.stdout.flush()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=18_000)
    main(parser.parse_args().frames)
