"""Prints what the project needs, a line each: its dependencies and those of the extras named.

Used by .ci/setup and by the Dockerfiles: they install just these, and run the code where it lies.
"""

import sys
import tomllib
from pathlib import Path


def main(extras: list[str]) -> None:
    text = (Path.cwd() / "pyproject.toml").read_text(encoding="utf-8")
    project = tomllib.loads(text)["project"]
    optional = project["optional-dependencies"]
    lines = [*project["dependencies"], *(line for extra in extras for line in optional[extra])]
    sys.stdout.write("\n".join(lines) + "\n")


main(sys.argv[1:])
