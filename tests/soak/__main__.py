"""`python -m tests.soak --minutes 60`: the whole system at work, with viewers that come and go.

Two workers render the bundled model without a pause while people watch, leave, stall and come back.
Exit code 0 when nothing grew, nothing was missed and no error was logged.
"""

import argparse
import random
import sys

from tests.soak.run import Options, Soak


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--viewers", type=int, default=20)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--no-write", action="store_true", help="leave benchmarks/results alone")
    found = parser.parse_args(argv)
    options = Options(
        minutes=found.minutes, viewers=found.viewers, seed=found.seed, write=not found.no_write
    )
    return 0 if Soak(options).go() else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
