"""What a deep queue, an old snapshot, the guards and the knock cost, each as a ratio in one run.

    .venv/bin/python -m benchmarks.queue [--rows 1000000] [--quick] [--no-write]

On a Postgres and a Redis of its own, which are thrown away: in memory where the machine has
/dev/shm, with synchronous_commit off, because a disk's fsync swings twentyfold from one second to
the next. So rates are those of this set-up; what holds elsewhere are the ratios. Arms are
interleaved (A B B A …); the median of the rounds counts, the best round stands beside it. Writes
benchmarks/results/queue.json.

  known        the claim's own UPDATE with the job's id given: what a choice could cost at best
  bump         UPDATE … SET version = version + 1 WHERE id = …: the least that an UPDATE can be
  claim        queue.claim_next
  plain claim  the same statement, always from the queue's head: SKIP LOCKED as everybody writes it
  full …       the whole transaction of actions.claim, with its attempt, event and announcement
"""

import argparse
import json
import os
import platform
import time
from collections.abc import Callable
from contextlib import ExitStack

import django
import psycopg

from benchmarks.arms import Clients, Row, print_rows
from benchmarks.queue_questions import CLIENTS, Bench, Scale
from benchmarks.stage import RESULTS, services


def measure(scale: Scale) -> dict[str, list[Row]]:
    with services() as empty_url, ExitStack() as stack:
        deep, empty = Clients(CLIENTS), Clients(1, T2V_DATABASE_URL=empty_url)
        stack.callback(deep.close)
        stack.callback(empty.close)
        for clients in (deep, empty):
            clients.ask("people")
        began = time.monotonic()
        deep.ask("fill", rows=scale.rows, reserve=scale.reserve, ended=scale.rows // 10)
        print(f"{scale.rows:,} jobs wait after {time.monotonic() - began:.0f} s", flush=True)
        empty.ask("look_around")
        deep.ask("look_around", clients=CLIENTS)
        bench = Bench(scale, deep, empty)
        stack.callback(bench.close)
        questions: dict[str, Callable[[], list[Row]]] = {
            "claims at depth": bench.claims,
            "claims under an old snapshot": bench.snapshot,
            "what depth costs": bench.depth,
            "single readings": bench.readings,
            "what the guards cost": bench.guards,
            "from commit to wake-up": lambda: bench.wakes(empty_url),
        }
        found = {}
        for title, question in questions.items():
            found[title] = question()
            print_rows(title, found[title])
        return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--quick", action="store_true", help="too short to believe the figures")
    parser.add_argument("--no-write", action="store_true")
    options = parser.parse_args()
    timing = (0.1, 1, 1.0, 2) if options.quick else (1.0, 8, 60.0, 110)
    scale = Scale(
        rows=options.rows,
        slice_seconds=timing[0],
        rounds=timing[1],
        snapshot_seconds=timing[2],
        wakes=timing[3],
    )
    began = time.monotonic()
    found = measure(scale)
    print(f"\n{time.monotonic() - began:.0f} s in all")
    if options.no_write or options.quick:
        return
    machine = f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    result = {
        "machine": f"{machine}, Django {django.__version__}, psycopg {psycopg.__version__}",
        "set_up": "embedded Postgres in memory, synchronous_commit off",
        "rows": scale.rows,
        "rounds": scale.rounds,
        "questions": {title: [row.as_dict() for row in rows] for title, rows in found.items()},
    }
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "queue.json").write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
