"""deploy/compose.yaml as Docker would read it: the names in it filled in."""

import re
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
FILE = ROOT / "deploy/compose.yaml"
_NAME = re.compile(r"\$(?:\$|\{(\w+)(?::([-?])([^}]*))?\})")


def filled_in(value: Any, given: dict[str, str]) -> Any:
    """${NAME}, ${NAME:-default}, ${NAME:?why}, $$ in all texts. Raises KeyError for what lacks."""
    if isinstance(value, dict):
        return {key: filled_in(part, given) for key, part in value.items()}
    if isinstance(value, list):
        return [filled_in(part, given) for part in value]
    if not isinstance(value, str):
        return value

    def one(match: re.Match[str]) -> str:
        name, sign, rest = match.groups()
        if name is None:
            return "$"
        return given.get(name) or (rest if sign == "-" else given[name])

    return _NAME.sub(one, value)


def composition(given: dict[str, str]) -> dict[str, Any]:
    read: dict[str, Any] = filled_in(yaml.safe_load(FILE.read_text(encoding="utf-8")), given)
    return read


def names_asked_for() -> set[str]:
    """The names that compose.yaml leaves to .env."""
    found = {match[1] for match in _NAME.finditer(FILE.read_text(encoding="utf-8"))}
    return {name for name in found if name}


def dotenv(path: Path) -> dict[str, str]:
    """The names that the file sets, also in a comment (#NAME=…); the first of each counts."""
    found: dict[str, str] = {}
    for name, value in re.findall(r"^#?(\w+)=(.*)$", path.read_text(encoding="utf-8"), re.M):
        found.setdefault(name, value)
    return found
