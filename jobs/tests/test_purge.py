"""What nobody refers to leaves the storage; what somebody may still want stays there."""

from collections.abc import Callable
from datetime import timedelta
from io import StringIO
from pathlib import Path

import pytest
import redis
from django.conf import LazySettings
from django.core.management import CommandError, call_command
from django.utils import timezone

from conftest import video_of
from jobs import actions, purge, stream
from jobs.actions import Claim
from jobs.artifacts import Stored
from jobs.errors import LostClaim, NotPossible
from jobs.events import PreviewHeader
from jobs.lifecycle import MAX_RELEASES, State
from jobs.models import Checkpoint, Job, KeptPreview

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _at_once(settings: LazySettings) -> None:
    settings.T2V_ORPHAN_HOURS = 0


Put = Callable[..., Stored]


@pytest.fixture
def save(put: Put) -> Callable[..., Stored]:
    def _save(held: Claim, step: int) -> Stored:
        stored = put(held, f"checkpoint-{step}.safetensors")
        actions.save_checkpoint(held, stored=stored, step=step)
        return stored

    return _save


def files(media: Path) -> set[str]:
    return {str(path.relative_to(media)) for path in media.rglob("*") if path.is_file()}


def lose(job: Job) -> None:
    Job.objects.filter(pk=job.pk).update(lease_until=timezone.now() - timedelta(seconds=1))
    actions.reap()
    Job.objects.filter(pk=job.pk, state=State.QUEUED).update(run_at=timezone.now())


def test_a_losing_attempts_files_go_and_the_winners_stay(
    submit: Callable[..., Job], claim: Callable[..., Claim], put: Put, media: Path
) -> None:
    job, late = submit(), claim("late/1")
    put(late, "video.mp4")
    lose(job)
    current = claim("other/1")
    video = put(current, "video.mp4")
    assert purge.purge() == 1
    assert files(media) == {video.key}, "a live attempt's files are its own business"
    actions.succeed(current, [video])
    put(current, "checkpoint-9.safetensors")
    assert purge.purge() == 1
    assert purge.purge() == 0
    assert files(media) == {video.key}


def test_nothing_goes_before_its_time(
    submit: Callable[..., Job],
    claim: Callable[..., Claim],
    put: Put,
    media: Path,
    settings: LazySettings,
) -> None:
    settings.T2V_ORPHAN_HOURS = 1
    job, held = submit(), claim()
    stored = put(held, "video.mp4")
    lose(job)
    assert purge.purge() == 0
    assert files(media) == {stored.key}


def test_a_checkpoint_stays_as_long_as_somebody_may_go_on_from_it(
    submit: Callable[..., Job],
    claim: Callable[..., Claim],
    save: Callable[..., Stored],
    put: Put,
    media: Path,
) -> None:
    job, first = submit(), claim("first/1")
    stored = save(first, 3)
    lose(job)
    purge.purge()
    assert files(media) == {stored.key}
    second = claim("second/1")
    assert second.saved is not None
    assert (second.saved.key, second.saved.step, second.saved.attempt) == (stored.key, 3, 1)
    purge.purge()
    purge.clear(job.pk, 1)  # as attempt 1 itself does when it wakes up late
    assert files(media) == {stored.key}
    newer = save(second, 8)
    purge.purge()
    assert files(media) == {newer.key}, "attempt 1 is of no use any more"
    video = put(second, "video.mp4")
    actions.succeed(second, [video])
    purge.purge()
    assert files(media) == {video.key}


def test_saving_a_checkpoint_names_the_own_one_before_and_never_itself(
    submit: Callable[..., Job], claim: Callable[..., Claim], put: Put
) -> None:
    submit()
    held = claim()
    first, second = put(held, "checkpoint-1.safetensors"), put(held, "checkpoint-2.safetensors")
    assert actions.save_checkpoint(held, stored=first, step=1) is None
    assert actions.save_checkpoint(held, stored=second, step=2) == first.key
    assert actions.save_checkpoint(held, stored=second, step=2) is None, "a lost reply, repeated"
    actions.release(held)
    with pytest.raises(LostClaim):
        actions.save_checkpoint(held, stored=first, step=1)
    assert Checkpoint.objects.get().step == 2


def park(job: Job, claim: Callable[..., Claim], save: Callable[..., Stored]) -> Stored:
    """Its last attempt leaves a checkpoint and dies."""
    while Job.objects.get(pk=job.pk).state != State.PARKED:
        held = claim("doomed/1")
        stored = save(held, 5)
        lose(job)
    return stored


def test_a_retry_is_a_new_job_that_goes_on_from_the_old_ones_checkpoint(
    submit: Callable[..., Job],
    claim: Callable[..., Claim],
    save: Callable[..., Stored],
    put: Put,
    media: Path,
) -> None:
    job = submit()
    stored = park(job, claim, save)
    new = actions.retry(job.pk)
    assert actions.retry(job.pk) == new, "two clicks make one job"
    assert (new.owner_id, new.pool, new.attempt) == (job.owner_id, job.pool, 0)
    assert new.request.spec == job.request.spec
    assert new.request.retry_of_id == job.pk
    held = claim()
    assert held.job == new.pk
    assert held.saved is not None
    assert held.saved.key == stored.key
    purge.purge()
    assert stored.key in files(media)
    newer = put(held, "checkpoint-7.safetensors")
    before = actions.save_checkpoint(held, stored=newer, step=7)
    assert before is None, "the old job's file is the old job's"
    video = put(held, "video.mp4")
    actions.succeed(held, [video])
    purge.purge()
    assert files(media) == {stored.key, video.key}, "the parked job keeps its own for a week"


def test_a_parked_jobs_checkpoint_goes_after_a_week(
    submit: Callable[..., Job],
    claim: Callable[..., Claim],
    save: Callable[..., Stored],
    media: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stored = park(submit(), claim, save)
    purge.purge()
    assert files(media) == {stored.key}
    monkeypatch.setattr(purge, "CHECKPOINT_DAYS", 0)
    purge.purge()
    assert files(media) == set()
    assert not Checkpoint.objects.exists()


@pytest.mark.parametrize("end", ["queued", "running", "failed", "succeeded"])
def test_what_has_not_ended_or_would_come_out_the_same_is_not_tried_again(
    end: str, submit: Callable[..., Job], claim: Callable[..., Claim]
) -> None:
    job = submit()
    if end != "queued":
        held = claim()
    if end == "failed":
        actions.fail(held, code="bad_prompt", message="no", permanent=True)
    if end == "succeeded":
        actions.succeed(held, [video_of(held)])
    with pytest.raises(NotPossible, match=end):
        actions.retry(job.pk)
    assert Job.objects.count() == 1


def test_a_job_that_every_worker_hands_back_is_parked_in_the_end(
    submit: Callable[..., Job], claim: Callable[..., Claim]
) -> None:
    job, waited = submit(), timedelta()
    for _ in range(MAX_RELEASES):
        assert actions.release(claim(), delay_seconds=30) is State.QUEUED
        job.refresh_from_db()
        waited += job.run_at - timezone.now()
        Job.objects.filter(pk=job.pk).update(run_at=timezone.now())
    assert waited > timedelta(hours=2), "a storage may be away for so long"
    for spent in range(1, job.max_attempts + 1):
        after = actions.release(claim(), delay_seconds=30)
        job.refresh_from_db()
        assert (job.releases, job.spent) == (MAX_RELEASES, spent)
        Job.objects.filter(pk=job.pk, state=State.QUEUED).update(run_at=timezone.now())
    assert after is State.PARKED
    assert job.error_code == "released_too_often"


def test_a_release_with_a_delay_waits_and_one_without_keeps_its_place(
    submit: Callable[..., Job], claim: Callable[..., Claim]
) -> None:
    job = submit()
    place = job.run_at
    actions.release(claim())
    job.refresh_from_db()
    assert job.run_at == place
    before = timezone.now()
    actions.release(claim(), code="disk_full", message="full", delay_seconds=30)
    after = timezone.now()
    job.refresh_from_db()
    # The second release: 30 s were doubled once, with jitter.
    assert before + timedelta(seconds=30) <= job.run_at <= after + timedelta(seconds=60)
    event = job.events.last()
    assert event is not None
    assert (event.kind, event.data) == ("released", {"code": "disk_full", "message": "full"})


def test_the_last_preview_of_a_parked_job_is_kept(
    submit: Callable[..., Job],
    claim: Callable[..., Claim],
    save: Callable[..., Stored],
    empty_redis: redis.Redis,
) -> None:
    job = submit()
    park(job, claim, save)
    other = submit()
    header = PreviewHeader(
        job=job.pk,
        attempt=3,
        step=7,
        steps=32,
        frames=1,
        tile_width=8,
        tile_height=8,
        server_us=0,
        codec="jpeg",
        size=5,
    )
    stream.put_preview(job.owner_id, header, b"image")
    assert purge.keep_previews() == 1
    assert purge.keep_previews() == 0
    message = bytes(KeptPreview.objects.get(job=job).message)
    assert PreviewHeader.unpack(message).step == 7
    assert message.endswith(b"image")
    assert not KeptPreview.objects.filter(job=other).exists()


def test_reconcile_names_orphans_and_missing_files_and_deletes_only_when_told(
    submit: Callable[..., Job], claim: Callable[..., Claim], put: Put, media: Path
) -> None:
    job, held = submit(), claim("a/1")
    orphan = put(held, "poster.png")
    lose(job)
    winner = claim("b/1")
    video = put(winner, "video.mp4")
    actions.succeed(winner, [video])
    submit()
    live = put(claim("c/1"), "video.mp4")
    (media / "jobs" / "notes").mkdir()
    told = StringIO()
    call_command("reconcile", stdout=told)
    assert f"orphan {orphan.key}\n" in told.getvalue()
    assert "1 files that nobody refers to found, 0 artifacts" in told.getvalue()
    assert files(media) == {orphan.key, video.key, live.key}
    call_command("reconcile", "--delete", stdout=StringIO())
    assert files(media) == {video.key, live.key}
    (media / video.key).write_text("cut")
    told = StringIO()
    with pytest.raises(CommandError, match="missing"):
        call_command("reconcile", stdout=told)
    assert f"3 bytes, not {video.size}: {video.key}" in told.getvalue()
