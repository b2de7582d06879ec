"""Ends the parts of a supervisor that was itself killed. Run as a script, by the supervisor alone.

Standard input carries lines: "+PID" for a part that started (PID is its group, too), "-PID" for
one that is gone. The end of the input means that the supervisor no longer lives, or wants no
watching; what is left then gets SIGTERM and, a grace later, its whole group SIGKILL. A kernel
signal on the parent's death (PR_SET_PDEATHSIG) would reach neither grandchildren nor macOS.
"""

import contextlib
import os
import signal
import sys
import time


def _group_lives(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # macOS says this of a group of zombies
        return False
    return True


def main(grace_seconds: float) -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # it ends when its input does
    parts: set[int] = set()
    for line in sys.stdin:
        pid = int(line[1:])
        (parts.add if line.startswith("+") else parts.discard)(pid)
    for pid in parts:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + grace_seconds
    while any(_group_lives(pid) for pid in parts) and time.monotonic() < deadline:
        time.sleep(0.05)
    for pid in parts:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGKILL)


if __name__ == "__main__":
    main(float(sys.argv[1]))
