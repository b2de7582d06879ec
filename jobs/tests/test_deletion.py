"""A deleted job is gone for everybody at once, comes back while it can, and leaves nothing then."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import AnonymousUser
from django.db import IntegrityError, connection, transaction
from django.test import Client
from django.utils import timezone

from accounts.models import User
from accounts.roles import Role
from jobs import actions, artifacts, dispatch, history, overview, purge
from jobs.access import visible_jobs
from jobs.actions import Claim
from jobs.artifacts import StorageUnavailable, Stored
from jobs.errors import NotFound, NotPossible
from jobs.lifecycle import State
from jobs.models import Artifact, Attempt, Checkpoint, Job, JobEvent, JobRequest
from jobs.tests.invariants import violations

pytestmark = pytest.mark.django_db(transaction=True)
Program = Callable[..., Client]
Put = Callable[..., Stored]


@pytest.fixture
def finished(submit: Callable[..., Job], claim: Callable[..., Claim], put: Put) -> Job:
    job, held = submit(), claim()
    actions.succeed(held, [put(held, "video.mp4")])
    return job


def files(media: Path) -> set[str]:
    return {str(path.relative_to(media)) for path in media.rglob("*") if path.is_file()}


def overdue(*jobs: Job) -> None:
    """As if they had been deleted long ago."""
    before = timezone.now() - timedelta(hours=25)
    Job.objects.filter(pk__in=[job.pk for job in jobs]).update(deleted_at=before)


def test_a_deleted_job_is_nowhere_for_anybody(
    finished: Job, alice: User, olga: User, program: Program, client: Client
) -> None:
    mine = program(alice)
    assert mine.delete(f"/api/v1/jobs/{finished.pk}").status_code == 204
    api = f"/api/v1/jobs/{finished.pk}"
    for who in (alice, olga):
        of_theirs = program(who)
        addresses = (
            api,
            *(f"{api}/{part}" for part in ("artifacts", "recipe", "events", "preview")),
        )
        for address in (*addresses, f"/jobs/{finished.pk}/1/video.mp4"):
            assert of_theirs.get(address).status_code == 404, address
        for verb in ("cancel", "retry", "remix"):
            assert of_theirs.post(f"{api}/{verb}").status_code == 404, verb
        assert of_theirs.delete(api).status_code == 404
        client.force_login(who)
        page = client.get(f"/jobs/{finished.pk}/").content  # offers to bring it back, no more
        assert (b"Bring it back" in page, b"video.mp4" in page) == (True, False)
        assert str(finished.pk) not in client.get("/").content.decode()
        assert not visible_jobs(who).exists()
    assert mine.get("/api/v1/jobs").json()["results"] == []
    assert mine.get("/api/v1/jobs?search=circle").json()["results"] == []


def test_a_deleted_clip_is_no_news_though_the_ring_still_announces_it(
    finished: Job, submit: Callable[..., Job]
) -> None:
    waiting = submit()
    actions.delete(waiting.pk)
    assert set(history.read_news({finished.pk: 0, waiting.pk: 0})) == {finished.pk, waiting.pk}
    actions.delete(finished.pk)
    found = history.read_news({finished.pk: 0, waiting.pk: 0})
    assert [news.state for news in found.values()] == [State.CANCELLED]


def test_what_was_deleted_is_listed_for_who_may_bring_it_back_as_long_as_they_can(
    finished: Job, alice: User, bob: User, join: Callable[..., None], client: Client
) -> None:
    join(bob, Role.CREATOR)
    actions.delete(finished.pk)

    def listed(who: User) -> list[Job]:
        client.force_login(who)
        return list(client.get("/library/deleted").context["jobs"])

    assert (listed(alice), listed(bob)) == ([finished], [])
    client.force_login(alice)
    page = client.get("/library/deleted").content.decode()
    assert f'action="/jobs/{finished.pk}/restore"' in page
    client.post(f"/jobs/{finished.pk}/restore")
    assert listed(alice) == []
    actions.delete(finished.pk)
    overdue(finished)
    assert listed(alice) == []


def test_only_who_may_delete_a_job_deletes_and_restores_it(
    finished: Job, alice: User, bob: User, olga: User, program: Program
) -> None:
    address = f"/api/v1/jobs/{finished.pk}"
    assert program(bob).delete(address).status_code == 404
    assert program(alice).delete(address).status_code == 204
    assert program(bob).post(f"{address}/restore").status_code == 404
    assert program(alice).post(f"{address}/restore").json()["video_url"]
    assert program(olga).delete(address).status_code == 204
    assert program(olga).post(f"{address}/restore").status_code == 200
    assert program(alice).post(f"{address}/restore").status_code == 200  # nothing to do
    assert not visible_jobs(AnonymousUser()).exists()


def test_a_waiting_job_is_cancelled_with_its_deletion(
    submit: Callable[..., Job], alice: User, program: Program
) -> None:
    job = submit()
    assert program(alice).delete(f"/api/v1/jobs/{job.pk}").status_code == 204
    job.refresh_from_db()
    assert (job.state, job.deleted_at is not None) == (State.CANCELLED, True)
    assert actions.claim(worker="worker/1", pool="default") is None
    back = program(alice).post(f"/api/v1/jobs/{job.pk}/restore")
    assert (back.status_code, back.json()["state"]) == (200, "cancelled")


def test_a_running_job_is_stopped_by_its_deletion_and_purged_when_it_has_ended(
    submit: Callable[..., Job], claim: Callable[..., Claim], put: Put, media: Path
) -> None:
    job, held = submit(), claim()
    actions.delete(job.pk)
    actions.delete(job.pk)
    assert actions.renew(held, step=3).cancel
    put(held, "video.mp4")
    overdue(job)
    assert purge.purge_deleted() == 0, "it renders still"
    actions.obey_cancel(held)
    with connection.cursor() as cursor:
        assert violations(cursor) == []
    assert purge.purge_deleted() == 1
    assert (files(media), Job.objects.count()) == (set(), 0)


def test_what_was_deleted_long_ago_leaves_nothing(
    finished: Job, submit: Callable[..., Job], claim: Callable[..., Claim], put: Put, media: Path
) -> None:
    other, held = submit(), claim()
    video = put(held, "video.mp4")
    actions.succeed(held, [video])
    actions.delete(finished.pk)
    assert purge.purge_deleted() == 0, "it can be brought back still"
    assert len(files(media)) == 2
    overdue(finished)
    assert purge.purge_deleted() == 1
    assert purge.purge_deleted() == 0
    assert files(media) == {video.key}
    for model in (JobRequest, JobEvent, Attempt, Artifact):
        left = model.objects.values_list("job", flat=True)
        assert set(left) == {other.pk}, model
    with connection.cursor() as cursor:
        assert violations(cursor) == []


def test_what_is_being_purged_cannot_be_brought_back(
    finished: Job, alice: User, program: Program
) -> None:
    actions.delete(finished.pk)
    overdue(finished)
    assert program(alice).post(f"/api/v1/jobs/{finished.pk}/restore").status_code == 404
    assert purge.purge_deleted() == 1


def test_a_purge_that_was_cut_off_goes_on(
    finished: Job, media: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    actions.delete(finished.pk)
    overdue(finished)
    with monkeypatch.context() as patch:
        patch.setattr("django.db.models.query.QuerySet.delete", broken)
        with pytest.raises(IntegrityError):
            purge.purge_deleted()
    assert (files(media), Job.objects.count()) == (set(), 1)
    assert purge.purge_deleted() == 1
    assert Job.objects.count() == 0


def broken(*_: Any) -> None:
    raise IntegrityError("the process ends here")


@pytest.mark.parametrize("verb", [actions.cancel, actions.delete, actions.retry])
def test_a_job_that_was_taken_away_meanwhile_is_not_found(verb: Callable[..., object]) -> None:
    """Between the look at it and the verb; it was an error of ours, by the API a 500."""
    with pytest.raises(NotFound):
        verb(uuid4())


def test_one_file_that_cannot_go_holds_up_nobody_else(
    finished: Job,
    submit: Callable[..., Job],
    claim: Callable[..., Claim],
    put: Put,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    other, held = submit(), claim()
    actions.succeed(held, [put(held, "video.mp4")])
    for job in (finished, other):
        actions.delete(job.pk)
        overdue(job)
    delete = artifacts.delete

    def stuck(key: str) -> None:
        if str(finished.pk) in key:
            raise StorageUnavailable("no")
        delete(key)

    monkeypatch.setattr(artifacts, "delete", stuck)
    with pytest.raises(StorageUnavailable):
        purge.purge_deleted()
    assert [job.pk for job in Job.objects.all()] == [finished.pk]


def test_a_job_stays_as_long_as_another_goes_on_from_its_checkpoint(
    submit: Callable[..., Job], claim: Callable[..., Claim], put: Put, media: Path
) -> None:
    old = submit()
    Job.objects.filter(pk=old.pk).update(max_attempts=1)
    held = claim()
    saved = put(held, "checkpoint-3.safetensors")
    actions.save_checkpoint(held, stored=saved, step=3)
    actions.fail(held, code="bad", message="It broke.", permanent=False)
    new = actions.retry(old.pk)
    actions.delete(old.pk)
    overdue(old)
    assert purge.purge_deleted() == 0
    assert files(media) == {saved.key}
    again = claim()
    assert again.saved is not None
    assert again.saved.key == saved.key
    actions.succeed(again, [put(again, "video.mp4")])
    assert not Checkpoint.objects.filter(job=new).exists()
    assert purge.purge_deleted() == 1
    assert JobRequest.objects.get(job=new).retry_of_id is None
    with connection.cursor() as cursor:
        assert violations(cursor) == []


def test_a_deleted_job_is_not_tried_again_and_asks_no_operator_to(
    submit: Callable[..., Job], claim: Callable[..., Claim]
) -> None:
    job = submit()
    Job.objects.filter(pk=job.pk).update(max_attempts=1)
    actions.fail(claim(), code="bad", message="It broke.", permanent=False)
    assert overview.look().parked.count == 1
    actions.delete(job.pk)
    assert overview.look().parked.count == 0
    with pytest.raises(NotPossible):
        actions.retry(job.pk)


def test_a_job_whose_second_try_was_deleted_says_so_and_goes_on_when_that_is_restored(
    submit: Callable[..., Job],
) -> None:
    job = submit()
    actions.cancel(job.pk)
    again = actions.retry(job.pk)
    actions.delete(again.pk)
    with pytest.raises(NotPossible, match=str(again.pk)):
        actions.retry(job.pk)
    actions.restore(again.pk)
    assert actions.retry(job.pk) == again


def test_deleting_is_all_that_may_still_change_a_job_that_ended(finished: Job) -> None:
    row = Job.objects.filter(pk=finished.pk)
    row.update(deleted_at=timezone.now())
    row.update(deleted_at=None)
    for change in ({"step": 1}, {"priority": 1}, {"deleted_at": timezone.now(), "step": 1}):
        with pytest.raises(IntegrityError, match="for good"), transaction.atomic():
            row.update(**change)


def test_who_looks_at_a_job_is_asked_again_when_it_is_deleted(
    finished: Job, alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[int] = []
    monkeypatch.setattr(dispatch, "rights_changed", told.append)
    actions.delete(finished.pk)
    actions.delete(finished.pk)
    assert told == [alice.pk]


def test_a_remix_outlives_what_it_was_made_from(
    submit: Callable[..., Job], alice: User, program: Program
) -> None:
    old = submit()
    new = (
        program(alice)
        .post(f"/api/v1/jobs/{old.pk}/remix", {}, content_type="application/json")
        .json()["id"]
    )
    actions.delete(old.pk)
    overdue(old)
    assert purge.purge_deleted() == 1
    assert program(alice).get(f"/api/v1/jobs/{new}/recipe").json()["remix_of"] is None
