"""A pip that downloads nothing: what `pip install -c … -r FILE` would install, linked into a venv.

    pip --python VENV/bin/python install … -r FILE

Each requirement is met by what the tests run with, in the version that constraints.txt names, and
so is what it needs in its turn; nothing else is in the venv then. Ends with 1 where something is
missing or has another version.
"""

import re
import sys
from importlib.metadata import Distribution, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
TORCHS_OWN = ("nvidia-", "cuda-", "triton")  # which of these there are depends on its build


def constraints() -> dict[str, str]:
    """Name to version."""
    text = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    pairs = re.findall(r"^([A-Za-z0-9._-]+)==([^\s;]+)", text, re.MULTILINE)
    return {canonicalize_name(name): version for name, version in pairs}


def needed(lines: list[str]) -> dict[str, Distribution]:
    """By name: the distributions that these requirements bring. Raises PackageNotFoundError."""
    found: dict[str, Distribution] = {}
    extras: dict[str, set[str]] = {}
    waiting = [(Requirement(line), "") for line in lines]
    while waiting:
        wanted, extra = waiting.pop()
        if wanted.marker is not None and not wanted.marker.evaluate({"extra": extra}):
            continue
        name = canonicalize_name(wanted.name)
        fresh = ({""} | wanted.extras) - extras.setdefault(name, set())
        if not fresh:
            continue
        found[name] = distribution(name)
        extras[name] |= fresh
        for line in found[name].requires or []:
            waiting += [(Requirement(line), one) for one in fresh]
    return found


def link(found: dict[str, Distribution], into: Path) -> None:
    """The top-level files and folders of each; a folder that several share is linked once."""
    for one in found.values():
        for name in {file.parts[0] for file in one.files or []} - {"..", "__pycache__"}:
            target = into / name
            if not target.exists():
                target.symlink_to(Path(str(one.locate_file(name))))


def main(words: list[str]) -> None:
    python = Path(words[words.index("--python") + 1])
    lists = [Path(words[at + 1]) for at, word in enumerate(words) if word == "-r"]
    lines = [
        line for path in lists for line in path.read_text(encoding="utf-8").split("\n") if line
    ]
    found = needed(lines)
    pinned = constraints()
    wrong = [
        f"{name} is {one.version}, constraints.txt says {pinned.get(name, 'nothing')}"
        for name, one in found.items()
        if one.version.partition("+")[0] != pinned.get(name, "").partition("+")[0]
        and (name in pinned or not name.startswith(TORCHS_OWN))
    ]
    if wrong and "-c" in words:
        sys.exit("\n".join(wrong))
    [packages] = (python.parent.parent / "lib").glob("python3.*/site-packages")
    link(found, packages)


if __name__ == "__main__":
    main(sys.argv[1:])
