"""One site of two replicas and one worker for all of these tests, and the three SDKs."""

import subprocess
from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.conf import settings
from django.db import transaction
from django.db.models import F
from pytest_django.plugin import DjangoDbBlocker

from accounts.models import User
from jobs import actions, offer
from jobs.models import Job
from tests import emptying
from tests.sdk import site as sites
from tests.sdk.client import NAMES, Sdk
from tests.sdk.site import Site
from tests.stage import ROOT


@pytest.fixture
def _django_db_helper(django_db_setup: None) -> None:
    """In place of pytest-django's: what a test writes is committed and stays, for the site to see.

    The mark django_db alone makes the tests' own database.
    """


@pytest.fixture(scope="package")
def site(
    django_db_setup: None,
    django_db_blocker: DjangoDbBlocker,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Site]:
    """Its rows live as long as it does: who tests here makes people of their own."""
    assert str(settings.DATABASES["default"]["NAME"]).startswith("test_"), "it is emptied below"
    subprocess.run([str(ROOT / ".ci" / "sdks")], check=True)
    with django_db_blocker.unblock():
        with sites.running(tmp_path_factory.mktemp("site")) as site:
            yield site
            assert site.errors() == ""
        emptying.empty()


@pytest.fixture(scope="package", params=NAMES)
def anybody(request: pytest.FixtureRequest, site: Site) -> Iterator[tuple[Sdk, User]]:
    user, token = sites.person(f"user-of-{request.param}")
    sdk = Sdk(request.param, site.base_url, token)
    yield sdk, user
    sdk.close()


@pytest.fixture
def sdk(anybody: tuple[Sdk, User]) -> Sdk:
    return anybody[0]


@pytest.fixture
def owner(anybody: tuple[Sdk, User]) -> User:
    return anybody[1]


@pytest.fixture(scope="package")
def full(site: Site) -> str:
    """The token of somebody who has as many unfinished videos as one may have; none ever begins."""
    owner, token = sites.person("full")
    blank = dict.fromkeys(("model", "size", "frames", "steps", "guidance", "seed"))
    spec = offer.make_spec(prompt="It waits", **blank)
    with transaction.atomic():
        for _ in range(sites.MOST_UNFINISHED):
            actions.submit(owner=owner, spec=spec)
        mine = Job.objects.filter(owner=owner)
        mine.update(run_at=F("run_at") + timedelta(days=1))
    return token
