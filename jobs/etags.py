"""Answers that need not be sent again: ETag and If-None-Match (RFC 9110 §13)."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from django.utils.http import parse_etags
from rest_framework.request import Request
from rest_framework.response import Response

# What changes by the second without anything having happened: not worth sending a job again.
FORECAST = frozenset({"estimate", "cost", "eta_seconds", "seconds_left"})


def conditional(request: Request, body: Mapping[str, Any] | list[Any]) -> Response:
    """200 with a weak tag of the body, forecasts left out; 304 when the caller has that one."""
    facts = (
        {name: value for name, value in body.items() if name not in FORECAST}
        if isinstance(body, Mapping)
        else body
    )
    text = json.dumps(facts, sort_keys=True, separators=(",", ":"))
    tag = f'"{hashlib.sha256(text.encode()).hexdigest()[:32]}"'
    known = parse_etags(request.headers.get("If-None-Match", ""))
    same = "*" in known or tag in {one.removeprefix("W/") for one in known}
    answer = Response(status=304) if same else Response(body)
    answer.headers["ETag"] = f"W/{tag}"
    answer.headers["Cache-Control"] = "private, no-cache"  # kept, but asked for again
    return answer
