"""What checkpoints cost a step of the bundled model, on one CPU thread.

    .venv/bin/python -m benchmarks.checkpoints [--rounds 6] [--no-write]

The same steps without a keeper, with the queue's keeper as it is set (one checkpoint in 10 s at
most), and with one that stores as often as its cost allows. Interleaved; the median of the rounds
counts, the least stands beside it. CPU is that of the whole process, so the keeper's thread is in
it. Each checkpoint is a file, a put into storage and a row in Postgres, as in the worker. Writes
benchmarks/results/checkpoints.json.
"""

import argparse
import os
import subprocess
import sys

from benchmarks.stage import ROOT, services

STEPS = 800  # 12 s an arm: one checkpoint of a keeper that stores one in 10 s
_ARMS = (
    "import django; django.setup(); from benchmarks import checkpoint_arms; "
    "checkpoint_arms.main(rounds={rounds}, steps={steps}, write={write})"
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--no-write", action="store_true")
    options = parser.parse_args()
    code = _ARMS.format(rounds=options.rounds, steps=options.steps, write=not options.no_write)
    with services():
        subprocess.run(
            [sys.executable, "-c", code],
            cwd=ROOT,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
            check=True,
        )


if __name__ == "__main__":
    main()
