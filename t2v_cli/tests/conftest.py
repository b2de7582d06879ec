"""Sites that behave oddly, and who asks them."""

from collections.abc import Callable, Iterator

import pytest

from t2v_cli import pauses
from t2v_cli.site import Site
from t2v_cli.tests.odd import OddSite

TOKEN = "t2v_secret"


@pytest.fixture
def odd() -> Iterator[OddSite]:
    with OddSite().open() as site:
        yield site


@pytest.fixture
def storage() -> Iterator[OddSite]:
    """Another origin."""
    with OddSite().open() as site:
        yield site


@pytest.fixture
def told() -> list[str]:
    return []


@pytest.fixture
def ask(
    odd: OddSite, told: list[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., Site]]:
    """Makes a Site that tries again soon; keywords as of Site."""
    monkeypatch.setattr(pauses, "FIRST_SECONDS", 0.01)
    made: list[Site] = []

    def _ask(patience_seconds: float = 20, **wanted: bool) -> Site:
        site = Site(odd.url, TOKEN, patience_seconds=patience_seconds, tell=told.append, **wanted)
        made.append(site)
        return site

    yield _ask
    for site in made:
        site.close()
