"""The sites where one has signed in, in a file that its owner alone can read.

`$XDG_CONFIG_HOME/t2v/config.toml`: one table for each profile.
"""

import json
import os
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from tempfile import NamedTemporaryFile

from t2v_cli.failures import Code, Failure

DEFAULT = "default"
_NAME = re.compile(r"[A-Za-z0-9_-]{1,40}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    site: str  # address.site_address
    token: str
    insecure: bool = False  # plain http to another machine, as at the login

    def __repr__(self) -> str:
        return f"Profile({self.site})"  # a token shows nowhere


def path() -> Path:
    base = os.environ.get("XDG_CONFIG_HOME") or ""
    folder = Path(base) if os.path.isabs(base) else Path.home() / ".config"
    return folder / "t2v" / "config.toml"


def checked_name(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise Failure(
            f"{name!r} is no profile's name.",
            Code.USAGE,
            advice="Use 1 to 40 letters, digits, - and _.",
        )
    return name


def load(file: Path) -> dict[str, Profile]:
    """By name; none where there is no file. Raises Failure for one that is not ours."""
    try:
        tables = tomllib.loads(file.read_text(encoding="utf-8"))
        return {
            name: Profile(
                site=str(table["site"]),
                token=str(table["token"]),
                insecure=table.get("insecure") is True,
            )
            for name, table in tables.items()
        }
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise Failure(f"{file} cannot be read: {error.strerror}.", Code.USAGE) from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        advice = "Mend it, or delete it and sign in again."
        raise Failure(
            f"{file} is not as t2v login writes it.", Code.USAGE, advice=advice
        ) from error


def save(file: Path, profiles: dict[str, Profile]) -> None:
    """All or nothing: another program never sees half a file, and nobody else a token."""
    lines = []
    for name, profile in profiles.items():
        # A string of JSON is one of TOML as well, as long as it is ASCII.
        lines += [f"[{checked_name(name)}]", f"site = {json.dumps(profile.site)}"]
        lines += [f"token = {json.dumps(profile.token)}"]
        lines += ["insecure = true"] if profile.insecure else []
        lines.append("")
    try:
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with NamedTemporaryFile(
            "w", encoding="ascii", dir=file.parent, prefix=".config-", delete=False
        ) as draft:  # made with mode 0600
            draft.write("\n".join(lines))
        os.replace(draft.name, file)
    except OSError as error:
        raise Failure(f"{file} cannot be written: {error.strerror}.", Code.USAGE) from error
