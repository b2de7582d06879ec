"""What is sent to the addresses that take something, so that who may is answered with success."""

import json
from collections.abc import Mapping
from urllib.parse import urlencode
from uuid import UUID

from tests.access.routes import Route

_PROMPT: dict[str, object] = {"prompt": "a red circle moving right"}
_HOOK: dict[str, object] = {"url": "https://example.com/y", "events": ["job.succeeded"]}
_TOKEN: dict[str, object] = {"name": "another", "scopes": ["jobs:read"]}
_NAME: dict[str, object] = {"name": "Another studio"}
_ROLE: dict[str, object] = {"role": "viewer"}
_GUEST: dict[str, object] = {"email": "dana@example.com", "role": "viewer"}
_PROFILE: dict[str, object] = {"name": "Dana", "time_zone": "Europe/Zurich"}
_TO: dict[str, object] = {"member": "{member_id}"}
_FORM: dict[str, object] = {
    "idempotency_key": str(UUID(int=7)),
    "model": "nano",
    "size": "64x64",
    "frames": 7,
    "steps": 8,
    "guidance": 1.0,
    "quality": "exact",
}
# By the route's name and the method.
SENT: dict[tuple[str, str], dict[str, object]] = {
    ("api_jobs", "POST"): _PROMPT,
    ("api_jobs_batch", "POST"): {"jobs": [_PROMPT]},
    ("api_jobs_dry_run", "POST"): _PROMPT,
    ("api_tokens_list", "POST"): _TOKEN,
    ("api_webhooks", "POST"): _HOOK,
    ("api_job", "PATCH"): {"tags": ["for the film"]},
    ("api_webhook", "PATCH"): {"description": "the shop"},
    ("v1_videos", "POST"): _PROMPT,
    ("v1_remix", "POST"): _PROMPT,
    ("v1_webhooks", "POST"): {
        "name": "shop",
        "url": _HOOK["url"],
        "event_types": ["video.completed"],
    },
    ("home", "POST"): _PROMPT | _FORM,
    ("shelf_act", "POST"): {"verb": "favourite", "job": "{job_id}"},
    ("shelf_zip", "POST"): {"job": "{job_id}"},
    ("job_vary", "POST"): {"count": 1, "idempotency_key": str(UUID(int=9))},
    ("tokens", "POST"): _TOKEN,
    ("profile", "POST"): _PROFILE,
    ("webhooks", "POST"): _HOOK | {"made": str(UUID(int=8))},
    ("webhook", "POST"): _HOOK,
    ("api_workspaces", "POST"): _NAME,
    ("api_workspace", "PATCH"): _NAME,
    ("api_member", "PATCH"): _ROLE,
    ("api_invitations", "POST"): _GUEST,
    ("api_workspace_transfer", "POST"): _TO,
    ("workspaces", "POST"): _NAME,
    ("workspace", "POST"): _NAME,
    ("workspace_switch", "POST"): {"workspace": "{slug}"},
    ("workspace_transfer", "POST"): _TO,
    ("members", "POST"): _GUEST,
    ("member_role", "POST"): _ROLE,
    ("queue_retry", "POST"): {"job": "{job_id}"},
    ("queue_cancel", "POST"): {"job": "{job_id}", "reason": "a test"},
    ("queue_drain", "POST"): {"worker": "gpu-1", "reason": "a test"},
}


def body_for(route: Route, method: str, values: Mapping[str, str]) -> tuple[str, str]:
    """The body and its content type; values are those of the address."""
    sent = {
        name: value.format_map(values) if isinstance(value, str) else value
        for name, value in SENT.get((route.name, method), {}).items()
    }
    if route.pattern.startswith(("api/", "v1/", "_allauth/")):
        return json.dumps(sent), "application/json"
    return urlencode(sent, doseq=True), "application/x-www-form-urlencoded"
