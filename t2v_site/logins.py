"""The demo logins of one machine: made at the first start, printed at every start."""

import json
import os
from pathlib import Path

from accounts import actions
from accounts.actions import DemoLogin


def ensure(folder: Path, *, chosen: str | None) -> list[DemoLogin]:
    """The demo accounts. What was given out is kept in folder, to be printed again."""
    file = folder / "demo-logins.json"
    given = json.loads(file.read_text()) if file.exists() else {}
    known = {email: (str(password), str(hashed)) for email, (password, hashed) in given.items()}
    logins = actions.ensure_demo_accounts(known=known, chosen=chosen)
    given = {
        login.email: (login.password, login.hashed)
        for login in logins
        if login.password is not None
    }
    if given != known:
        draft = file.with_suffix(".new")
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as out:
            json.dump(given, out)
        draft.replace(file)
    return logins


def table(logins: list[DemoLogin]) -> str:
    return "\n".join(
        f"  {login.email:<22} {login.password or '(changed by its owner)':<24} {login.role.value}"
        for login in logins
    )
