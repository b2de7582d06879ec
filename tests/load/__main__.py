"""`make load`: exit code 0 when no hard goal was broken, 1 when one was, 2 for bad options."""

import signal
import sys

from tests.load import options
from tests.load.run import Run


def _leave(number: int, _frame: object) -> None:
    raise SystemExit(128 + number)


def main(argv: list[str]) -> int:
    try:
        asked = options.parse(argv)
    except options.BadOptions as error:
        print(error, file=sys.stderr)  # noqa: T201
        return 2
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _leave)
    # A script that starts this in the background has SIGINT ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    return Run(asked).go()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
