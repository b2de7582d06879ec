"""A whole site whose logs and traces somebody collects: one start for all of these."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import urllib3

from tests.collector import Collector, collecting
from tests.stage import Caller, System, running

pytestmark = pytest.mark.whole

PROMPT = "a marked circle moving right"
TOKEN = "t2v_" + "0123456789abcdef" * 4
PARTS = {"web", "worker", "webhooks", "sweep"}


@dataclass
class Seen:
    site: System
    collector: Collector
    job: str  # that succeeded
    cancelled: str
    request: str  # the id of the one that submitted the first

    def lines(self) -> list[tuple[str, str]]:
        """What each part wrote, by the part's name; without the supervisor's own words."""
        found = re.findall(
            r"^[\d:]+ (\w+)\.?\d* *\| (.*)$",
            re.sub(r"\x1b\[[\d;]*m", "", "".join(self.site.lines)),
            re.MULTILINE,
        )
        return [(part, line) for part, line in found if part in PARTS]


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seen]:
    with collecting() as collector:
        settings = {"T2V_TRACES": collector.url, "T2V_LOG_FORMAT": "json"}
        with running(tmp_path_factory.mktemp("observed"), **settings) as site:
            alice = Caller(site.url)
            answer = alice.ask("POST", "/api/v1/jobs", json.dumps({"prompt": PROMPT}))
            job = str(answer.json()["id"])
            alice.wait_for(job, "succeeded")
            cancelled = alice.submit(PROMPT)
            site.wait_for(cancelled, 60)  # before an attempt begins no part has a word about it
            alice.ask("POST", f"/api/v1/jobs/{cancelled}/cancel", "{}")
            alice.wait_for(cancelled, "cancelled", "succeeded")
            header = {"Authorization": f"Bearer {TOKEN}"}
            refused = urllib3.request("GET", f"{site.url}/api/v1/me?q={TOKEN}", headers=header)
            assert refused.status == 401
            site.wait_for(refused.headers["X-Request-ID"], 30)
            yield Seen(site, collector, job, cancelled, answer.headers["X-Request-ID"])


def test_one_trace_leads_from_the_request_to_the_file(seen: Seen) -> None:
    attempt = seen.collector.wait_for("attempt", job=seen.job, seconds=60)
    # Another process sends it, when its own time has come.
    request = seen.collector.wait_for("POST /api/v1/jobs", trace=attempt.trace, seconds=60)
    mine = [span for span in seen.collector.spans if span.trace == attempt.trace]
    assert [span for span in mine if span.service == "t2v-web"] == [request]
    assert request.values["t2v.request"] == seen.request
    assert (request.parent, attempt.parent) == ("", request.span)
    parts = [span for span in mine if span not in (request, attempt)]
    assert {span.parent for span in parts} == {attempt.span}
    assert {span.service for span in parts} == {"t2v-worker"}
    names = [span.name for span in parts]
    assert {"claim", "load", "begin", "step", "decode", "encode", "put", "tell"} <= set(names)
    assert {span.values["t2v.file"] for span in parts if span.name == "put"} >= {"video.mp4"}


def test_every_line_of_every_part_is_json_and_says_what_it_is_about(seen: Seen) -> None:
    lines: list[tuple[str, dict[str, Any]]] = [
        (part, json.loads(line)) for part, line in seen.lines()
    ]
    of_the_job = [line for part, line in lines if line.get("job") == seen.job and part == "worker"]
    assert of_the_job[0]["event"].endswith("attempt 1 begins")
    trace = seen.collector.wait_for("attempt", job=seen.job, seconds=60).trace
    assert {(line["attempt"], line["trace"]) for line in of_the_job} == {(1, trace)}
    assert all(line["worker"] for line in of_the_job)


def test_neither_logs_nor_traces_hold_a_prompt_or_a_token(seen: Seen) -> None:
    seen.collector.wait_for("attempt", job=seen.job, seconds=60)
    told = "".join(seen.site.lines)
    assert "Unauthorized: /api/v1/me" in told  # the request with the token is in it
    assert seen.cancelled in told
    for text in (told, seen.collector.raw.decode("latin-1")):
        assert "marked" not in text
        assert TOKEN[4:] not in text
