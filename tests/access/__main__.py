"""`python -m tests.access write`: asks everybody's every question and writes the answers down.

What it changes in expected.csv is for a reviewer to read: each line is somebody who may now do
something else.
"""

import os
import sys

import pytest

from tests.access.routes import routes


def write() -> int:
    os.environ["ACCESS_WRITES"] = "1"
    pytest.main(["-q", "-n", "0", "tests/access/test_matrix.py"])
    # Loaded by pytest, with Django's settings; before, it could not be.
    from tests.access import cast, docs, table, test_matrix  # noqa: PLC0415

    missed = [route.name for route in routes() if route not in test_matrix.FOUND]
    if missed:
        sys.stderr.write(f"Not asked: {', '.join(missed)}\n")
        return 1
    found = {route: test_matrix.FOUND[route] for route in routes()}
    table.write(table.brought_together(found), cast.PEOPLE)
    docs.write()
    return 0


if __name__ == "__main__":
    if sys.argv[1:] != ["write"]:
        sys.exit(__doc__)
    sys.exit(write())
