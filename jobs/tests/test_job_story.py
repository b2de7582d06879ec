"""manage.py job-story: what it tells, and what it keeps to itself."""

import json
from collections.abc import Callable
from io import StringIO
from typing import Any

import pgtrigger
import pytest
from django.core.management import CommandError, call_command
from django.db.models import F
from opentelemetry.sdk.trace import TracerProvider

from accounts import origin
from accounts.models import User
from conftest import video_of
from jobs import actions, biography, offer, spans, tracing
from jobs.actions import Claim, Wanted
from jobs.models import Job, JobEvent, JobRequest
from jobs.moves import record_of

PROMPT = "a marked circle moving right"


def _tell(job: object, *options: str) -> str:
    out = StringIO()
    call_command("job-story", str(job), *options, stdout=out)
    return out.getvalue()


def _as_json(job: object, *options: str) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(_tell(job, "--json", *options))
    return told


def test_a_jobs_whole_life_is_told(submit: Callable[..., Job], claim: Callable[..., Claim]) -> None:
    token = origin.enter(origin.Origin(via="session", request_id="abc12345"))
    try:
        job = submit(PROMPT)
    finally:
        origin.leave(token)
    first = claim("gpu-1/a")
    actions.fail(first, code="worker_lost", message="It broke\nFORGED line", permanent=False)
    Job.objects.update(run_at=F("created_at"))
    second = claim("gpu-2/b")
    actions.succeed(second, [video_of(second)])
    told = _tell(job.pk)
    assert f"Job {job.pk} is succeeded" in told
    assert "by request abc12345" in told
    assert "gpu-1/a  failed after" in told
    assert "Attempt 2 on worker gpu-2 · ended well after" in told
    assert "video.mp4" in told
    assert "job.submitted by alice@example.com (session) request abc12345" in told
    assert PROMPT not in told
    assert f"its prompt has {len(PROMPT)} characters" in told
    assert not [line for line in told.splitlines() if line.startswith("FORGED")]
    assert f"prompt: {PROMPT}" in _tell(job.pk, "--prompt")


def test_a_program_gets_the_same_without_the_prompt(submit: Callable[..., Job]) -> None:
    job = submit(PROMPT)
    told = _as_json(job.pk)
    assert (told["job"]["state"], told["request"]["prompt"]) == ("queued", None)
    assert [event["kind"] for event in told["events"]] == ["submitted"]
    assert told["waits"]["why"]
    assert PROMPT not in json.dumps(told)
    assert _as_json(job.pk, "--prompt")["request"]["prompt"] == PROMPT


def test_the_trace_of_a_job_is_told(submit: Callable[..., Job]) -> None:
    assert _as_json(submit().pk)["trace"] == ""
    provider = TracerProvider()
    tracing.use(spans.OtelTracer(provider))
    try:
        with tracing.request("POST") as request:
            job = submit()
    finally:
        tracing.use(None)
        provider.shutdown()
    assert len(request.trace) == 32
    assert f"  trace {request.trace}\n" in _tell(job.pk)


def test_the_beginning_of_an_id_is_enough_while_no_other_job_has_it(
    submit: Callable[..., Job],
) -> None:
    job = submit()
    assert biography.find(str(job.pk)[:10].upper()).pk == job.pk
    twin = job.pk.hex[:31] + ("0" if job.pk.hex[31] != "0" else "1")
    other = Job.objects.create(id=twin, owner=job.owner, workspace=job.workspace)
    JobRequest.objects.create(job=other, prompt=PROMPT, spec=job.request.spec, digest="")
    record_of(other, "submitted")
    with pytest.raises(CommandError, match="several jobs"):
        _tell(str(job.pk)[:13])
    assert biography.find(job.pk.hex).pk == job.pk


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("text", "why"),
    [("7f3c2a10", "There is no job"), ("7f3", "no id"), ("a circle", "no id"), ("f" * 33, "no id")],
)
def test_an_id_that_is_none_is_refused_with_a_word(text: str, why: str) -> None:
    with pytest.raises(CommandError, match=why) as refused:
        _tell(text)
    assert refused.value.returncode == 1


def test_each_job_of_a_batch_and_a_retry_name_the_request_that_made_them(
    alice: User, submit: Callable[..., Job]
) -> None:
    blank = dict.fromkeys(("model", "size", "frames", "steps", "guidance"))
    specs = [offer.make_spec(prompt=PROMPT, seed=seed, **blank) for seed in range(3)]
    token = origin.enter(origin.Origin(via="session", request_id="batch-1234"))
    try:
        wanted = [Wanted(spec=spec, model_digest="") for spec in specs]
        jobs = actions.submit_many(owner=alice, wanted=wanted)
    finally:
        origin.leave(token)
    assert {_as_json(job.pk)["submitted_by_request"] for job in jobs} == {"batch-1234"}
    actions.cancel(jobs[0].pk, by=alice)
    token = origin.enter(origin.Origin(via="session", request_id="retry-1234"))
    try:
        again = actions.retry(jobs[0].pk, by=alice)
    finally:
        origin.leave(token)
    told = _as_json(again.pk)
    assert told["submitted_by_request"] == "retry-1234"
    assert told["request"]["retry_of"] == str(jobs[0].pk)
    assert f"tried again as {again.pk}" in _tell(jobs[0].pk)


def test_a_job_with_a_thousand_events_is_told_in_some_two_hundred_lines(
    submit: Callable[..., Job],
) -> None:
    job = submit()
    with pgtrigger.ignore():  # the guards let no job have so many
        JobEvent.objects.bulk_create(
            JobEvent(job=job, seq=seq, kind="released", state="queued", attempt=1)
            for seq in range(2, 1001)
        )
    told = _tell(job.pk)
    assert "  … 800 more …" in told
    assert len(told.splitlines()) < 230
    assert _as_json(job.pk)["events_left_out"] == 800
