"""Signing in and out of a site."""

import os
import stat
from collections.abc import Callable

from accounts import workspaces
from accounts.models import ApiToken, User
from tests.cli.program import Program
from tests.live.stage import Server

NOBODY = {"T2V_SITE": "", "T2V_TOKEN": ""}


def test_a_login_is_checked_and_kept_for_the_next_command(
    alices: Program, server: Server, alice: User
) -> None:
    bad = alices.run("login", "--site", server.url, "--token-stdin", stdin="t2v_no\n", **NOBODY)
    assert (bad.code, bad.out) == (3, "")
    assert not (alices.home / "t2v").exists()

    words = ("login", "--site", server.url, "--token-stdin")
    done = alices.run(*words, stdin=f"{alices.token}\n", **NOBODY)
    assert (done.code, done.err) == (0, "")
    assert done.out == f"Signed in at {server.url} as alice@example.com.\n"
    kept = alices.home / "t2v" / "config.toml"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600

    who = alices.run("whoami", "--json", **NOBODY)
    assert (who.code, who.err) == (0, "")
    assert who.json() == {
        "site": server.url,
        "email": alice.email,
        "name": "",
        "role": "member",
        "scopes": ["jobs:read", "jobs:write"],
        "token": "test",
        "workspaces": [
            {
                "slug": workspaces.current(alice).slug,
                "name": "alice's workspace",
                "role": "owner",
                "current": True,
            }
        ],
    }
    assert alices.run("logout", **NOBODY).code == 0
    assert alices.run("whoami", **NOBODY).code == 3


def test_several_sites_are_told_apart_by_name(
    t2v: Callable[..., Program], server: Server, alice: User, bob: User
) -> None:
    program, other = t2v(server.url, alice), t2v(server.url, bob)
    for name, who in {"home": program, "work": other}.items():
        words = ("login", "--site", server.url, "--profile", name, "--token-stdin")
        assert program.run(*words, stdin=who.token, **NOBODY).code == 0
    for name, email in {"home": alice.email, "work": bob.email}.items():
        done = program.run("--profile", name, "whoami", "--json", **NOBODY)
        assert done.json()["email"] == email
    assert program.run("whoami", "--profile", "other", **NOBODY).code == 2


def test_the_token_shows_nowhere_and_is_asked_for_unseen(alices: Program, server: Server) -> None:
    words = ("login", "--site", server.url)
    with alices.terminal(*words, **NOBODY) as terminal:
        terminal.until(f"Token for {server.url}: ")
        terminal.type(f"{alices.token}\n")
        terminal.until("Signed in")
        assert terminal.end() == 0
    assert alices.token not in terminal.shown
    for done in (
        alices.run("whoami"),
        alices.run("get", "nothing"),
        alices.run("list", "--patience", "0", T2V_SITE="http://127.0.0.1:9"),
        alices.run("submit", alices.token, "--steps", "100000"),
    ):
        assert alices.token not in done.out + done.err


def test_a_revoked_token_is_told_what_to_do(alices: Program, server: Server) -> None:
    ApiToken.objects.all().delete()
    done = alices.run("list")
    assert (done.code, done.out) == (3, "")
    assert f"t2v login --site {server.url}" in done.err


def test_nobody_is_asked_where_nobody_is(nobodys: Program) -> None:
    done = nobodys.run("login", **NOBODY)
    assert done.code == 2
    assert "--token-stdin" in done.err


def test_plain_http_to_another_machine_is_refused_before_anything_is_sent(
    nobodys: Program,
) -> None:
    for words in (("list",), ("login", "--token-stdin")):
        done = nobodys.run(*words, "--site", "http://192.0.2.1", stdin=nobodys.token)
        assert (done.code, done.out) == (2, "")
        assert "--insecure" in done.err
    assert os.listdir(nobodys.home) == []
