"""The site keeps what its schema promises, whatever is sent to it: by machine."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from accounts import actions as accounts
from accounts.models import User
from accounts.roles import Scope
from jobs.models import Job, JobRequest
from tests.live.stage import Server, serving
from tests.schema.fuzz import fuzz

UNHINDERED = dict.fromkeys(("T2V_RATE_WRITES", "T2V_RATE_READS"), "1000000/minute")

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "2"))  # of each operation; more: make fuzz
PARTS = ("^/api/v1/jobs", "^/api/v1/(?!jobs)", "^/v1/")  # so that processes share the work


@pytest.fixture
def site(transactional_db: None, empty_redis: redis.Redis, tmp_path: Path) -> Iterator[Server]:
    server = Server("daphne", tmp_path / "web.log", T2V_MAX_UNFINISHED="100000", **UNHINDERED)
    with serving(server):
        yield server


@pytest.fixture
def token(olga: User) -> str:
    return accounts.issue_token(olga, name="fuzz", scopes=list(Scope))[1]


@pytest.mark.timeout(3_000)
@pytest.mark.parametrize("paths", PARTS)
def test_every_operation_answers_as_its_schema_says_whatever_is_sent_to_it(
    paths: str, site: Server, token: str, tmp_path: Path
) -> None:
    """Bodies, parameters, headers and methods that the schema allows, and that it does not."""
    found = fuzz(
        site.url,
        token,
        tmp_path,
        phases="coverage,fuzzing",
        examples=EXAMPLES,
        paths=paths,
        timeout_seconds=2_900,
    )
    assert found.code == 0, found.report[-8000:]
    assert found.count("generated") > 200
    assert site.errors() == ""


@pytest.mark.timeout(3_000)
def test_one_thing_after_the_other_is_answered_as_the_schema_says_too(
    site: Server, token: str, tmp_path: Path
) -> None:
    """What follows from what: made, then looked at, remixed, cancelled, deleted, restored…"""
    found = fuzz(
        site.url,
        token,
        tmp_path,
        phases="stateful",
        paths="^/api/v1/jobs",
        mode="positive",
        examples=max(25, EXAMPLES),
        timeout_seconds=2_900,
    )
    assert found.code == 0, found.report[-8000:]
    assert found.count("covered") >= 10, found.report
    assert Job.objects.filter(deleted_at__isnull=False).exists()
    assert JobRequest.objects.filter(remix_of__isnull=False).exists()
    assert site.errors() == ""
