"""One web process for the tests of a module, and people who speak to it by t2v."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis

from accounts import actions as accounts
from accounts.models import User
from accounts.roles import ALL_SCOPES, Scope, SiteRole
from tests.cli.program import Program
from tests.live.stage import Server, serving


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory, django_db_setup: None) -> Iterator[Server]:
    log = tmp_path_factory.mktemp("web") / "daphne.log"
    with serving(Server("daphne", log, T2V_MAX_UNFINISHED="2000")) as server:
        yield server


@pytest.fixture
def server(web: Server, transactional_db: None, empty_redis: redis.Redis) -> Iterator[Server]:
    """The same; it wrote no error to its log while this test ran, and it lives."""
    before = len(web.said())
    yield web
    assert web.alive(), web.said()[before:]
    assert web.errors(before) == ""


@pytest.fixture
def own_server(
    transactional_db: None, empty_redis: redis.Redis, tmp_path: Path
) -> Iterator[Server]:
    """One that a test may kill."""
    with serving(Server("daphne", tmp_path / "own.log")) as server:
        yield server
        assert server.errors() == ""


@pytest.fixture
def t2v(tmp_path: Path) -> Callable[..., Program]:
    """Makes the program of a person at a site, with a token that may do all that they may."""

    def _t2v(site: str, user: User) -> Program:
        scopes = ALL_SCOPES if user.role == SiteRole.OPERATOR else ALL_SCOPES - {Scope.ADMIN}
        _, token = accounts.issue_token(user, name="test", scopes=scopes)
        return Program(site, token, tmp_path / user.email.partition("@")[0])

    return _t2v


@pytest.fixture
def alices(t2v: Callable[..., Program], server: Server, alice: User) -> Program:
    return t2v(server.url, alice)


@pytest.fixture
def nobodys(tmp_path: Path) -> Program:
    """The program where no site answers: "discard" is a port on which nobody listens."""
    return Program("http://127.0.0.1:9", "t2v_nobodys", tmp_path / "nobody")
