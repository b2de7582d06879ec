"""A rate under /v1: the SDKs wait as long as they are told, and get in."""

from collections.abc import Iterator

import pytest

from jobs.models import Job
from tests.live.stage import Server, serving
from tests.sdk import site as sites
from tests.sdk.balancer import Balancer
from tests.sdk.client import NAMES, Sdk
from tests.sdk.site import Site

pytestmark = [pytest.mark.whole, pytest.mark.django_db]
SEVERAL = 6  # at once: one after the other, each could take its second


@pytest.fixture(scope="module")
def slow(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Balancer]:
    """A site that takes one POST of a token in a second."""
    log = tmp_path_factory.mktemp("slow") / "web.log"
    patient = ["jobs.rates.TIMEOUT=5"]  # a test machine may stop for a moment
    with serving(Server("daphne", log, shorter=patient, T2V_RATE_WRITES="1/second")) as server:
        with Balancer([server.port]) as balancer:
            yield balancer
        assert server.errors() == ""


@pytest.mark.parametrize("name", NAMES)
def test_a_rate_passes_while_the_sdk_waits(name: str, slow: Balancer) -> None:
    owner, token = sites.person(f"hasty-{name}")
    before, sdk = len(slow.seen), Sdk(name, f"http://127.0.0.1:{slow.port}/v1", token)
    try:
        made = sdk.many(
            SEVERAL,
            "videos.create",
            prompt="quick {number}",
            extra_body={"steps": 4},
            retries=8,
        )
    finally:
        sdk.close()
    assert len({answer.fine["id"] for answer in made}) == SEVERAL
    assert Job.objects.filter(owner=owner).count() == SEVERAL
    assert 429 in {each.status for each in slow.since(before)}
