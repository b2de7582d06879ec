"""What each page costs where 100,000 clips lie: the server, and until somebody sees it.

    .venv/bin/python -m benchmarks.pages [--only studio job …] [--rows 100000] [--quick]

Every view of tests/browser/views.py that is an address. In process: Django's own client, median of
30, with the CPU of the web's Python and the number of queries; over daphne: the wall of a request
on one keep-alive connection, median of 30. Seen: the largest contentful paint in Chromium, whose
cache is empty, at 1.6 Mbit/s with 150 ms there and back and a CPU four times as slow; median of
5, with
all that moved on the way. Writes benchmarks/results/pages.json.
"""

import argparse
import http.client
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import urlsplit

from playwright.sync_api import Browser

from benchmarks.stage import RESULTS
from tests.browser.house import House, house
from tests.browser.onlooker import WATCH
from tests.browser.views import CONSOLE, VIEWS, View
from tests.stage import chromium

ROWS = 100_000
SLOW = {  # as the devtools of browsers call "slow 4G"
    "offline": False,
    "latency": 150,  # ms
    "downloadThroughput": 1_600_000 / 8,
    "uploadThroughput": 750_000 / 8,
}
CPU_SLOWER = 4
GOAL_MS, GOAL_LCP_MS, GOAL_SHIFT = 60.0, 1500.0, 0.02
# The last of all candidates, when none has come for half a second.
_SEEN = """() => new Promise((resolve) => {
  let largest = 0;
  const done = () => resolve(largest);
  let timer = setTimeout(done, 500);
  new PerformanceObserver((list) => {
    largest = list.getEntries().at(-1).startTime;
    clearTimeout(timer);
    timer = setTimeout(done, 500);
  }).observe({type: "largest-contentful-paint", buffered: true});
})"""


@dataclass(slots=True, kw_only=True)
class Cost:
    """Of one page."""

    page: str
    queries: int = 0
    inside_ms: float = 0.0  # the wall of Django's client
    cpu_ms: float = 0.0  # of that, Python's own
    daphne_ms: float = 0.0
    lcp_ms: float = 0.0
    shift: float = 0.0

    def __str__(self) -> str:
        return (
            f"{self.page:28} {self.queries:7} {self.inside_ms:9.1f} {self.cpu_ms:8.1f} "
            f"{self.daphne_ms:9.1f} {self.lcp_ms:8.0f} {self.shift:7.3f}"
        )


HEAD = f"{'page':28} queries  inside ms   cpu ms daphne ms   lcp ms   shift"


def pages(only: Sequence[str]) -> list[View]:
    """One of each address and person."""
    first: dict[tuple[str, str], View] = {}
    for view in VIEWS:
        plain = view.status == 200 and not view.template and view not in CONSOLE
        if plain and (not only or any(word in view.name for word in only)):
            first.setdefault((view.who, view.path), view)
    return list(first.values())


def over_daphne(site: House, view: View, times: int) -> float:
    """Milliseconds."""
    cookies = "; ".join(f"{each['name']}={each['value']}" for each in site.cookies(view.who))
    connection = http.client.HTTPConnection(urlsplit(site.url).netloc, timeout=60)
    took = []
    for _ in range(times + 1):
        began = time.perf_counter()
        connection.request("GET", site.at(view.path), headers={"Cookie": cookies})
        answer = connection.getresponse()
        answer.read()
        took.append((time.perf_counter() - began) * 1000)
        assert answer.status < 400, (view.name, answer.status)
    connection.close()
    return statistics.median(took[1:])


def seen(browser: Browser, site: House, view: View) -> tuple[float, float]:
    """The largest paint, in milliseconds, and all shifts; of somebody new to the site."""
    context = browser.new_context(base_url=site.url, viewport={"width": 1440, "height": 900})
    context.add_cookies(site.cookies(view.who))  # type: ignore[arg-type]  # a TypedDict
    context.add_init_script(WATCH)
    page = context.new_page()
    devtools = context.new_cdp_session(page)
    devtools.send("Network.enable")
    devtools.send("Network.emulateNetworkConditions", SLOW)
    devtools.send("Emulation.setCPUThrottlingRate", {"rate": CPU_SLOWER})
    page.goto(site.at(view.path), wait_until="load", timeout=120_000)
    largest = float(page.evaluate(_SEEN))
    shifts = float(page.evaluate("window.shifts.reduce((sum, each) => sum + each.value, 0)"))
    context.close()
    return largest, shifts


def measure(site: House, views: Iterable[View], *, times: int, looks: int) -> list[Cost]:
    found = []
    sys.stdout.write(HEAD + "\n")
    with chromium() as browser:
        for view in views:
            inside = site.hand.cost(site.at(view.path), view.who, times=times)
            cost = Cost(page=view.name, **inside)
            cost.daphne_ms = over_daphne(site, view, times)
            visits = [seen(browser, site, view) for _ in range(looks)]
            if visits:
                cost.lcp_ms = statistics.median(each[0] for each in visits)
                cost.shift = max(each[1] for each in visits)
            found.append(cost)
            sys.stdout.write(f"{cost}\n")
            sys.stdout.flush()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", nargs="+", default=[], help="views with these words in the name")
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--quick", action="store_true", help="too few to believe the figures")
    parser.add_argument("--no-write", action="store_true")
    options = parser.parse_args()
    times, looks = (3, 1) if options.quick else (30, 5)
    with (
        tempfile.TemporaryDirectory() as var,
        house(Path(var), T2V_RATE_READS="1000000/minute") as site,
    ):
        site.hand.crowd(options.rows)
        found = measure(site, pages(options.only), times=times, looks=looks)
    slow = [each.page for each in found if each.inside_ms > GOAL_MS]
    late = [each.page for each in found if each.lcp_ms > GOAL_LCP_MS]
    moved = [each.page for each in found if each.shift > GOAL_SHIFT]
    load = ", ".join(f"{each:.1f}" for each in os.getloadavg())
    sys.stdout.write(
        f"over {GOAL_MS:.0f} ms: {slow}\nover {GOAL_LCP_MS:.0f} ms until seen: {late}\n"
        f"moved by more than {GOAL_SHIFT}: {moved}\nload of the machine: {load}\n"
    )
    if not (options.no_write or options.quick or options.only):
        RESULTS.mkdir(exist_ok=True)
        result = {"rows": options.rows, "load": load, "pages": [asdict(each) for each in found]}
        (RESULTS / "pages.json").write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
