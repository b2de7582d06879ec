"""`python -m tests.chaos`: exit code 0 when every check passed."""

import argparse
import random
import signal
import sys

from tests.chaos.run import Options, Run


def _options(argv: list[str]) -> Options:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--seed", type=int, default=None, help="drawn, and printed, without it")
    parser.add_argument("--jobs", type=int, default=300)
    parser.add_argument("--faults", type=int, default=None, help="a third of the jobs without it")
    parser.add_argument("--minutes", type=float, default=15.0, help="for the whole run, at most")
    parser.add_argument("--keep", action="store_true", help="keep logs and history in any case")
    found = parser.parse_args(argv)
    return Options(
        seed=random.SystemRandom().randrange(10**6) if found.seed is None else found.seed,
        jobs=found.jobs,
        faults=found.jobs // 3 if found.faults is None else found.faults,
        minutes=found.minutes,
        keep=found.keep,
    )


def _leave(number: int, _frame: object) -> None:
    raise SystemExit(128 + number)


def main(argv: list[str]) -> int:
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _leave)
    # A script that starts this in the background has SIGINT ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    return 0 if Run(_options(argv)).go() else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
