"""A request sets the fields that are its own; no other is to be had by naming it."""

import json
from typing import Any
from uuid import UUID

import pytest
from django.test import Client

from accounts import actions as accounts
from accounts.models import ApiToken, User
from accounts.roles import Scope
from jobs.models import Job, WebhookEndpoint

pytestmark = pytest.mark.django_db
OTHER = "00000000-0000-4000-8000-000000000000"
# All that a row of ours holds and a caller might like to choose.
GREEDY: dict[str, Any] = {
    "id": OTHER,
    "pk": OTHER,
    "owner": 1,
    "owner_id": 1,
    "user": 1,
    "user_id": 1,
    "workspace_id": 1,
    "state": "succeeded",
    "attempt": 7,
    "version": 9,
    "priority": 99,
    "cost": 0,
    "max_attempts": 99,
    "reserved_seconds": -1,
    "over_quota": True,
    "created_at": "2000-01-01T00:00:00Z",
    "role": "owner",
    "is_staff": True,
    "is_superuser": True,
    "digest": "0" * 128,
    "token_key": "t2v_mine",
    "secret": "mine",
    "retry_of": OTHER,
    "remix_of": OTHER,
    "worker": "mine/1",
    "disabled_at": None,
    "tries": -5,
}


def test_no_field_that_is_not_for_the_caller_is_stored(alice: User, charlie: User) -> None:
    _, token = accounts.issue_token(alice, name="x", scopes=[*Scope][:2])
    _, admin = accounts.issue_token(alice, name="y", scopes=[Scope.ADMIN])
    wanted: list[tuple[str, str, dict[str, Any]]] = [
        (token, "/api/v1/jobs", {"prompt": "a red circle moving right"}),
        (token, "/v1/videos", {"prompt": "a red circle moving right", "model": "nano"}),
        (
            token,
            "/api/v1/webhooks",
            {"url": "https://example.com/x", "events": ["job.succeeded"]},
        ),
        (admin, "/api/v1/tokens", {"name": "z", "scopes": ["jobs:read"]}),
    ]
    for credential, path, own in wanted:
        client = Client(headers={"Authorization": f"Bearer {credential}"})
        for name, value in GREEDY.items():
            body = json.dumps({name: value if name != "owner" else charlie.pk} | own)
            answer = client.post(path, body, content_type="application/json")
            assert answer.status_code in {200, 201, 202, 400, 409, 429}, (
                path,
                name,
                answer.content,
            )
    alice.refresh_from_db()
    assert (alice.role, alice.is_staff, alice.is_superuser) == ("member", False, False)
    jobs = list(Job.objects.all())
    assert jobs
    for job in jobs:
        assert (job.owner_id, job.state, job.attempt, job.version) == (alice.pk, "queued", 0, 1)
        assert (job.priority, job.max_attempts, job.worker) == (0, 3, "")
        assert job.pk != UUID(OTHER)
        assert job.created_at.year > 2000
        assert job.workspace_id in alice.memberships
        assert (job.request.retry_of_id, job.request.remix_of_id) == (None, None)
    for row in ApiToken.objects.all():
        assert (row.user_id, row.token_key.startswith("t2v_mine")) == (alice.pk, False)
    assert {hook.owner_id for hook in WebhookEndpoint.objects.all()} <= {alice.pk}
