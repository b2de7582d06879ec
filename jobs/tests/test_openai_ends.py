"""How a video gets on and ends, as /v1 tells it."""

from collections.abc import Callable

import pytest

from conftest import video_of
from jobs import actions
from jobs.actions import Claim
from jobs.models import Job
from jobs.openai_shapes import video_id
from jobs.tests.customer import Customer

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("end", "code"),
    [
        (
            lambda job, held: actions.fail(held, code="bad_quality", message="No.", permanent=True),
            "bad_quality",
        ),
        (lambda job, held: (actions.cancel(job.pk), actions.obey_cancel(held)), "cancelled"),
    ],
)
def test_a_failed_job_answers_200_with_a_code(
    end: Callable[[Job, Claim], object],
    code: str,
    customer: Customer,
    submit: Callable[..., Job],
    claim: Callable[..., Claim],
) -> None:
    job, held = submit(), claim()
    end(job, held)
    answer = customer.ask("get", f"/v1/videos/{video_id(job.pk)}")
    video = answer.json()
    assert (answer.status_code, video["status"]) == (200, "failed")
    assert video["error"]["code"] == code
    assert video["error"]["message"]
    assert "openai-poll-after-ms" not in answer
    content = customer.ask("get", f"/v1/videos/{video_id(job.pk)}/content")
    assert (content.status_code, content.json()["error"]["code"]) == (404, "not_found")


def test_a_parked_and_an_expired_job_have_codes_of_their_own(
    customer: Customer, parked: Job, submit: Callable[..., Job]
) -> None:
    late = submit()
    Job.objects.filter(pk=late.pk).update(deadline=late.created_at)
    actions.expire()
    for job, code in ((parked, "parked"), (late, "expired")):
        video = customer.ask("get", f"/v1/videos/{video_id(job.pk)}").json()
        assert (video["status"], video["error"]["code"]) == ("failed", code)


def test_progress_is_the_rows_and_never_falls_when_another_attempt_begins(
    customer: Customer, submit: Callable[..., Job], claim: Callable[..., Claim]
) -> None:
    job, held = submit(steps=100), claim()
    path = f"/v1/videos/{video_id(job.pk)}"
    seen = [customer.ask("get", path).json()]
    actions.renew(held, step=40)
    seen.append(customer.ask("get", path).json())
    actions.release(held)
    seen.append(customer.ask("get", path).json())
    again = claim()
    actions.renew(again, step=3)
    seen.append(customer.ask("get", path).json())
    actions.renew(again, step=100)
    seen.append(customer.ask("get", path).json())
    actions.succeed(again, [video_of(again)])
    seen.append(customer.ask("get", path).json())
    assert [video["progress"] for video in seen] == [0, 40, 40, 40, 99, 100]
    states = [video["status"] for video in seen]
    assert states == ["in_progress"] * 2 + ["queued"] + ["in_progress"] * 2 + ["completed"]
    assert seen[-1]["completed_at"] >= seen[-1]["created_at"]


def test_deleting_hides_a_video_and_cancels_what_runs(
    customer: Customer, submit: Callable[..., Job], claim: Callable[..., Claim]
) -> None:
    running, held, waiting = submit(), claim(), submit()
    for job in (running, waiting):
        answer = customer.ask("delete", f"/v1/videos/{video_id(job.pk)}")
        wanted = {"id": video_id(job.pk), "object": "video.deleted", "deleted": True}
        assert (answer.status_code, answer.json()) == (200, wanted)
        assert customer.ask("get", f"/v1/videos/{video_id(job.pk)}").status_code == 404
        assert customer.ask("delete", f"/v1/videos/{video_id(job.pk)}").status_code == 404
    assert actions.orders(held).cancel, "the worker is told to stop"
    assert customer.ask("get", "/v1/videos").json()["data"] == []
