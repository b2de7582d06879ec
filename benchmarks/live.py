"""What the live view costs: frames to many viewers, one that stalls, sockets that wait.

    .venv/bin/python -m benchmarks.live [--only frames idle first] [--quick] [--no-write]

ours beside group_send: the consumer and the channel layer of Channels' own tutorial, with the same
Django and on the same server (benchmarks/live_baseline.py). One web process each; the viewers, and
the worker that publishes, are processes apart. Arms are interleaved (A B B A …); the median of the
rounds counts, the best round stands beside it. CPU is that of the process, by the kernel's account:
it hardly depends on what else the machine does; latencies do. Our viewers acknowledge every second
preview, as the page does; "an ack each" is what a program may do. Writes
benchmarks/results/live.json.

first is not an arm but the whole system of `make run`.
"""

import argparse
import json
import os
import platform
import time
from contextlib import ExitStack
from importlib.metadata import version

from benchmarks.arms import Row, print_rows
from benchmarks.live_first import first_previews
from benchmarks.live_parts import Helper, allow_files
from benchmarks.live_questions import Bench, Scale
from benchmarks.stage import RESULTS, services

QUESTIONS = ("frames", "idle", "first")
FILES = 8000  # open at a time: 1,200 sockets at both ends, and some
FIRST_TITLE = "from the claim to the first preview, 50 ms a step"
PARTS = (
    *("django", "channels", "channels-redis", "daphne", "autobahn", "twisted"),
    *("uvicorn", "uvloop", "websockets", "redis"),
)


def measure(scale: Scale, asked: list[str]) -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = {}
    with ExitStack() as stack:
        stack.enter_context(services())
        world, viewers = Helper("benchmarks.live_world"), Helper("benchmarks.live_viewers")
        stack.callback(world.close)
        stack.callback(viewers.close)
        bench = Bench(scale, world, viewers)
        for question in asked:
            for title, rows in getattr(bench, question)().items():
                found[title] = rows
                print_rows(title, rows)
    return found


def machine() -> str:
    parts = ", ".join(f"{name} {version(name)}" for name in PARTS)
    cores = f"{platform.machine()}, {os.cpu_count()} cores"
    return f"{cores}, Python {platform.python_version()}, {parts}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", nargs="+", choices=QUESTIONS, default=list(QUESTIONS))
    parser.add_argument("--quick", action="store_true", help="too short to believe the figures")
    parser.add_argument("--no-write", action="store_true")
    options = parser.parse_args()
    if options.quick:
        scale = Scale(viewers=20, slice_seconds=1.0, rounds=1, idle=40, idle_rounds=1)
    else:
        scale = Scale(viewers=200, slice_seconds=6.0, rounds=6, idle=1000, idle_rounds=3)
    allow_files(FILES)
    began = time.monotonic()
    asked = [question for question in options.only if question != "first"]
    found = measure(scale, asked) if asked else {}
    if "first" in options.only:
        found[FIRST_TITLE] = first_previews(3 if options.quick else 200)
        print_rows(FIRST_TITLE, found[FIRST_TITLE])
    print(f"\n{time.monotonic() - began:.0f} s in all")
    if options.no_write or options.quick:
        return
    result = {
        "machine": machine(),
        "set_up": "one web process; embedded Postgres in memory, synchronous_commit off",
        "viewers": scale.viewers,
        "rounds": scale.rounds,
        "questions": {title: [row.as_dict() for row in rows] for title, rows in found.items()},
    }
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "live.json").write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
