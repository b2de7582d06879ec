"""The world that is asked, and a site that answers thousands of requests in a minute."""

import logging
from pathlib import Path

import pytest
import redis
from django.conf import LazySettings
from django.db import connection
from limits import parse

from jobs.webhooks import openai_api as webhooks_sdk
from tests.access.cast import World, world


@pytest.fixture
def unhindered(
    empty_redis: redis.Redis, settings: LazySettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Thousands of requests in a minute, through one connection, that nobody waits for."""
    settings.T2V_RATE_WRITES = settings.T2V_RATE_READS = parse("1000000/minute")
    settings.ACCOUNT_RATE_LIMITS = False
    monkeypatch.setattr(connection, "close", lambda: None)  # streams give it back early
    monkeypatch.setattr(webhooks_sdk, "TOTAL_SECONDS", -5.0)  # nobody sends it
    for name in ("django.request", "django.security.csrf"):
        monkeypatch.setattr(logging.getLogger(name), "disabled", True)


@pytest.fixture
def everybody(unhindered: None, db: None, media: Path, tmp_path: Path) -> World:
    return world(tmp_path)
