"""Pictures of every page in every state, to look at: three widths, two themes.

`python -m tests.browser.screenshots FOLDER` (or `make screenshots`) starts a site of its own,
furnished by tests/browser/scenery.py, and writes NAME-WIDTH-THEME.png for all of
tests/browser/views.py, and sheets/NAME.png with all six of one beside each other.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import Literal

from PIL import Image, ImageDraw
from playwright.sync_api import Browser

from jobs import catalog
from tests.browser.house import House, house
from tests.browser.onlooker import Onlooker
from tests.browser.views import VIEWS, WIDTHS, View
from tests.stage import ROOT, chromium

THEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
STATE_MS = 60_000  # two busy cores
TALLEST = 1800  # pixels of a sheet's pictures: long pages are cut there
HIGHEST = 6000  # pixels of one picture
GAP = 16  # pixels


def shoot(eyes: Onlooker, view: View, folder: Path) -> None:
    """All six. Refuses one that is too wide."""
    page = eyes.look(view)
    for width in WIDTHS:
        eyes.size(width)
        assert eyes.overhang() <= 0, f"{view.name} is too wide for {width}"
        # As high as the page: what sticks to the foot of a window is at the foot of the picture.
        high = int(page.evaluate("document.documentElement.scrollHeight"))
        page.set_viewport_size({"width": width, "height": max(WIDTHS[width], min(high, HIGHEST))})
        for theme in THEMES:
            page.emulate_media(color_scheme=theme)
            path = folder / f"{view.name}-{width}-{theme}.png"
            page.screenshot(path=path, animations="disabled")
    eyes.leave()


def make_sheet(name: str, folder: Path) -> None:
    """Half as large, light above dark, cut where they are very long."""
    rows = []
    for theme in THEMES:
        row = []
        for width in WIDTHS:
            with Image.open(folder / f"{name}-{width}-{theme}.png") as whole:
                part = whole.convert("RGB").crop((0, 0, whole.width, min(TALLEST, whole.height)))
                row.append(part.resize((part.width // 2, part.height // 2), Image.Resampling.BOX))
        rows.append(row)
    across = sum(each.width + GAP for each in rows[0]) + GAP
    down = sum(max(each.height for each in row) + GAP for row in rows) + 2 * GAP
    sheet = Image.new("RGB", (across, down), (128, 128, 128))
    ImageDraw.Draw(sheet).text((GAP, 4), name, fill="white")
    top = 2 * GAP
    for row in rows:
        left = GAP
        for each in row:
            sheet.paste(each, (left, top))
            left += each.width + GAP
        top += max(each.height for each in row) + GAP
    (folder / "sheets").mkdir(exist_ok=True)
    sheet.save(folder / "sheets" / f"{name}.png")


def models_file() -> str:
    """The site's own models, one that accepts a size it cannot render, and one without weights."""
    text = (ROOT / "deploy" / "models.toml").read_text(encoding="utf-8")
    text = text.partition("[mochi-1]")[0]
    digest = catalog.parse(text)["nano"].files[0].sha256
    odd = text.replace("[nano", "[odd").replace("[64, 64]", "[72, 72]").replace("= 64", "= 72")
    lost = text.replace("[nano", "[lost").replace(digest, "0" * 64)
    return "\n".join([text, odd, lost])


def _wanted(only: Sequence[str]) -> list[View]:
    return [each for each in VIEWS if not only or any(fnmatch(each.name, word) for word in only)]


def _shoot_all(browser: Browser, site: House, folder: Path, only: Sequence[str]) -> int:
    """How many views could not be brought about, or are too wide."""
    known: dict[str, Onlooker] = {}
    failed = 0
    for view in _wanted(only):
        if view.who not in known:
            known[view.who] = Onlooker(browser, site, view.who)
            known[view.who].context.set_default_timeout(STATE_MS)
        try:
            shoot(known[view.who], view, folder)
        except Exception as error:
            failed += 1
            sys.stderr.write(f"{view.name}: {error}\n")
            known.pop(view.who).context.close()
            continue
        make_sheet(view.name, folder)
    return failed


def main(folder: Path, only: Sequence[str]) -> int:
    folder.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as var, house(Path(var)) as site, chromium() as browser:
        failed = _shoot_all(browser, site, folder, only)
    count = len(list(folder.glob("*.png")))
    sys.stdout.write(f"{count} pictures in {folder}, {time.monotonic() - began:.0f} s\n")
    return 1 if failed else 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", nargs="+", default=[], help="views by name, as job-*")
    options = parser.parse_args()
    sys.exit(main(options.folder, options.only))
