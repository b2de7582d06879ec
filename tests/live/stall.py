"""What stands still for a minute: python -m tests.live.stall [SECONDS]. In the suite it is 15 s."""

import os
import sys

import pytest

if __name__ == "__main__":
    os.environ["LIVE_STALL_SECONDS"] = sys.argv[1] if len(sys.argv) > 1 else "60"
    sys.exit(pytest.main(["-q", "-n", "0", "-s", "--timeout", "600", "tests/live/test_stall.py"]))
