"""login, logout, whoami."""

import os
import sys
from typing import Annotated

import typer

from t2v_cli import profiles
from t2v_cli.address import site_address
from t2v_cli.failures import Code, Failure
from t2v_cli.options import Desk, checked_token, chosen_site, command
from t2v_cli.profiles import Profile

MAX_TOKEN_BYTES = 4096


def register(app: typer.Typer) -> None:
    @command(app, "login")
    def login(
        desk: Desk,
        *,
        token_stdin: Annotated[
            bool, typer.Option("--token-stdin", help="Read the token from standard input.")
        ] = False,
    ) -> None:
        """Keep a site and a token for it, after asking the site whether it knows the token.

        Make the token on the site's page /settings/tokens, or there by manage.py token.
        """
        known = profiles.load(profiles.path())
        name = profiles.checked_name(desk.common.profile or profiles.DEFAULT)
        address, _ = chosen_site(desk.common, known)
        insecure = bool(desk.common.insecure)
        address = site_address(address, insecure=insecure)
        if token_stdin:
            token = sys.stdin.read(MAX_TOKEN_BYTES).strip()
        elif sys.stdin.isatty():
            token = typer.prompt(f"Token for {address}", hide_input=True, err=True).strip()
        else:
            raise Failure("There is nobody to ask.", Code.USAGE, advice="Use --token-stdin.")
        profile = Profile(site=address, token=checked_token(token), insecure=insecure)
        who = desk.site_of(profile).get("/api/v1/me")
        profiles.save(profiles.path(), {**known, name: profile})
        if desk.screen.as_json:
            desk.screen.document({"profile": name, "site": address, "me": who})
        else:
            desk.screen.say(f"Signed in at {address} as {_name(who)}.")

    @command(app, "logout")
    def logout(desk: Desk) -> None:
        """Forget a site's token on this machine. To make it worthless everywhere, revoke it."""
        known = profiles.load(profiles.path())
        name = profiles.checked_name(desk.common.profile or profiles.DEFAULT)
        gone = known.pop(name, None)
        if gone is not None:
            profiles.save(profiles.path(), known)
        if desk.screen.as_json:
            desk.screen.document({"profile": name, "site": gone.site if gone else None})
        elif gone is None:
            desk.screen.tell(f"There is no profile {name!r}, so nothing was forgotten.")
        else:
            desk.screen.say(f"The token for {gone.site} is forgotten here.")

    @command(app, "whoami")
    def whoami(desk: Desk) -> None:
        """Who the site says one is, and what the token may do."""
        site = desk.site()
        who = site.get("/api/v1/me")
        if desk.screen.as_json:
            desk.screen.document({"site": site.address, **who})
            return
        scopes = who.get("scopes")
        shown = [
            ("Site", site.address),
            ("Signed in as", _name(who)),
            ("Role", who.get("role")),
            ("May", ", ".join(map(str, scopes)) if isinstance(scopes, list) else None),
            ("Token", who.get("token")),
            ("From", "T2V_TOKEN" if os.environ.get("T2V_TOKEN") else "t2v login"),
        ]
        desk.screen.facts([(label, value) for label, value in shown if value])


def _name(who: object) -> str:
    return str(who.get("email") or who.get("id") or "?") if isinstance(who, dict) else "?"
