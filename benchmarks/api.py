"""What a job costs on its way in through the API, and what a million others change about that.

    .venv/bin/python -m benchmarks.api [--only admitted depth …] [--rows 1000000] [--quick]

Each request comes with a token, one after the other, to one daphne. The bare arm is the least that
a Django view can do (benchmarks/api_bare.py): no middleware, nobody asked who it is, one INSERT.
Arms are interleaved (A B B A …); the median of the rounds counts, the best round stands beside it.
CPU is user and system time of the web process, and of Postgres with all its backends; it hardly
depends on what else the machine does, walls do. On a Postgres and a Redis of its own, in memory
where the machine has /dev/shm. Writes benchmarks/results/api.json.

  admitted   POST /api/v1/jobs beside one INSERT, with and without an Idempotency-Key
  depth      the same where nobody waits, and where a million jobs do
  lists      GET /api/v1/jobs
  people     the same for somebody in fifty workspaces, and what rights cost a request
  batches    POST /api/v1/jobs/batch
  frozen     POST /api/v1/jobs while Redis stands still
  readings   parts of it by themselves
"""

import argparse
import json
import os
import platform
import time
from contextlib import ExitStack
from importlib.metadata import version

from benchmarks.api_parts import PLENTY
from benchmarks.api_questions import POOLED, Bench, Scale
from benchmarks.arms import Row, print_rows
from benchmarks.live_parts import Helper
from benchmarks.stage import RESULTS, services

QUESTIONS = {
    "admitted": "a job beside one INSERT",
    "depth": "what depth costs",
    "lists": "lists",
    "people": "fifty workspaces",
    "batches": "batches",
    "frozen": "a frozen Redis",
    "readings": "single readings",
}
PARTS = ("django", "djangorestframework", "daphne", "psycopg", "redis", "limits")


def measure(scale: Scale, asked: list[str]) -> dict[str, list[Row]]:
    found = {}
    with services() as empty_url, ExitStack() as stack:
        deep_url = os.environ["T2V_DATABASE_URL"]
        deep = Helper("benchmarks.api_world", **PLENTY)
        stack.callback(deep.close)
        empty = Helper("benchmarks.api_world", T2V_DATABASE_URL=empty_url, **PLENTY)
        stack.callback(empty.close)
        bench = Bench(scale, deep=deep, empty=empty, urls=(deep_url, empty_url))
        stack.callback(bench.close)
        for question in asked:
            found[QUESTIONS[question]] = getattr(bench, question)()
            print_rows(QUESTIONS[question], found[QUESTIONS[question]])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", nargs="+", choices=QUESTIONS, default=list(QUESTIONS))
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--quick", action="store_true", help="too short to believe the figures")
    parser.add_argument("--no-write", action="store_true")
    options = parser.parse_args()
    if options.quick:
        quick = {"requests": 10, "rounds": 1, "batches": 1, "batch": 20}
        scale = Scale(rows=options.rows, pools=(POOLED,), **quick)
    else:
        scale = Scale(rows=options.rows, requests=200, rounds=8, batches=4, batch=500)
    began = time.monotonic()
    found = measure(scale, options.only)
    print(f"\n{time.monotonic() - began:.0f} s in all")
    if options.no_write or options.quick or options.only != list(QUESTIONS):
        return
    machine = f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    result = {
        "machine": ", ".join([machine, *(f"{name} {version(name)}" for name in PARTS)]),
        "set_up": "one daphne; embedded Postgres in memory, synchronous_commit off",
        "rows": scale.rows,
        "requests": scale.requests,
        "rounds": scale.rounds,
        "questions": {title: [row.as_dict() for row in rows] for title, rows in found.items()},
    }
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "api.json").write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
