"""Jobs queued, GPU seconds and bytes on real rows: exact under load, reserved, settled."""

from collections import Counter
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from time import monotonic

import pytest
from django.conf import LazySettings
from django.db.models.functions import Now
from django.test import Client

from accounts import actions as accounts
from accounts.models import Membership, User, Workspace
from jobs import actions, purge, usage
from jobs.errors import GpuSecondsUsedUp, StorageFull, TooManyJobs
from jobs.lifecycle import State
from jobs.models import Attempt, GpuSeconds, Job
from jobs.quotas import UNKNOWN_SECONDS
from jobs.tests.quota_cast import (
    Submit,
    Take,
    Team,
    fail,
    render,
    rendered,
    share_of,
    spec,
    succeed,
    together,
)
from jobs.tests.test_estimates import look

pytestmark = pytest.mark.django_db(transaction=True)

JSON = "application/json"


# --- Jobs queued --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("quota", "accepted", "of_bob"),
    [((5, 1000), 5, None), ((0, 3), 6, 3), ((7, 5), 7, None)],
    ids=["the workspace's", "each person's", "both"],
)
def test_of_a_hundred_parallel_submits_exactly_as_many_as_the_quota_are_accepted(
    quota: tuple[int, int],
    accepted: int,
    of_bob: int | None,
    team: Team,
    settings: LazySettings,
) -> None:
    settings.T2V_QUOTA_QUEUED, settings.T2V_MAX_UNFINISHED = quota

    def ten_times(owner: User) -> list[str]:
        said = []
        for _ in range(10):
            try:
                actions.submit(owner=owner, spec=spec())
                said.append("accepted")
            except TooManyJobs as refused:
                said.append(refused.code)
        return said

    found = together(*[lambda who=who: ten_times(who) for who in (team.alice, team.bob) * 5])
    said = Counter(word for words in found for word in words)
    assert said == {"accepted": accepted, "too_many_jobs": 100 - accepted}
    assert Job.objects.filter(workspace=team.workspace).count() == accepted
    if of_bob is not None:
        assert Job.objects.filter(owner=team.bob).count() == of_bob


def test_quotas_of_one_workspace_are_not_another_ones(
    alice: User, charlie: User, workspace: Workspace
) -> None:
    accounts.set_quota(workspace, actor=None, max_queued=1)
    actions.submit(owner=alice, spec=spec())
    with pytest.raises(TooManyJobs, match="Your workspace has 1 unfinished"):
        actions.submit(owner=alice, spec=spec())
    actions.submit(owner=charlie, spec=spec())
    second = accounts.open_workspace(alice, "Another")
    actions.submit(owner=alice, spec=spec(), workspace=second.pk)


# --- GPU seconds --------------------------------------------------------------------------------


def test_seconds_are_reserved_at_submit_settled_at_the_end_and_released_by_a_cancel(
    alice: User, workspace: Workspace, submit: Submit, claim: Take
) -> None:
    accounts.set_quota(workspace, actor=None, max_gpu_seconds=200)
    first, second, third = submit(), submit(), submit()
    share = share_of(workspace)
    assert (share.spent_seconds, share.reserved_seconds) == (0, 3 * UNKNOWN_SECONDS)
    with pytest.raises(GpuSecondsUsedUp, match=r"180 reserved .* so 20 are left"):
        submit()
    actions.cancel(third.pk)
    assert share_of(workspace).reserved_seconds == 2 * UNKNOWN_SECONDS
    # A tenth of what was thought: the rest is free again.
    render(claim(), 6.0, succeed)
    assert share_of(workspace).spent_seconds == pytest.approx(rendered())
    assert rendered() >= 6.0
    # More than was thought counts while it runs; it is not stopped, and what it took is spent.
    held = claim()
    began = monotonic()
    Job.objects.filter(pk=second.pk).update(started_at=Now() - timedelta(seconds=150))
    reserved = share_of(workspace).reserved_seconds
    assert 150 <= reserved <= 151 + monotonic() - began
    with pytest.raises(GpuSecondsUsedUp, match=r"so \d+ are left") as refused:
        submit()
    left = int(str(refused.value).partition(" so ")[2].split()[0])
    assert 50 - rendered() - (monotonic() - began) - 1 <= left <= 44
    render(held, 250.0, succeed)
    assert Job.objects.get(pk=second.pk).state == State.SUCCEEDED
    with pytest.raises(GpuSecondsUsedUp, match="so 0 are left") as refused:
        submit()
    assert refused.value.retry_after is not None
    assert 0 < refused.value.retry_after <= 31 * 86_400
    assert share_of(workspace).seconds_left == 0
    assert first.reserved_seconds == UNKNOWN_SECONDS


def test_what_is_reserved_is_what_the_past_tells(
    workspace: Workspace, submit: Submit, claim: Take
) -> None:
    for _ in range(6):
        submit()
        render(claim(), 12.0, succeed)
    look()
    accounts.set_quota(workspace, actor=None, max_gpu_seconds=1000)
    assert submit().reserved_seconds == pytest.approx(12.0, rel=0.05)


def test_seconds_of_every_attempt_count_and_those_of_last_month_do_not(
    alice: User, workspace: Workspace, submit: Submit, claim: Take
) -> None:
    submit()
    for _ in range(2):
        Job.objects.update(run_at=Now())
        render(claim(), 5.0, fail)
    assert share_of(workspace).spent_seconds == pytest.approx(rendered())
    assert rendered() >= 10.0
    GpuSeconds.objects.update(month="2026-01-01")
    assert share_of(workspace).spent_seconds == 0


def test_an_attempt_over_the_first_of_the_month_has_its_share_in_both(
    alice: User, submit: Submit, claim: Take
) -> None:
    job, held = submit(), claim()
    month = datetime.now(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    Attempt.objects.filter(job=job).update(started_at=month - timedelta(seconds=50))
    succeed(held)
    ended = Attempt.objects.get(job=job).ended_at
    assert ended is not None
    found = dict(GpuSeconds.objects.order_by("month").values_list("month", "seconds"))
    before = (month - timedelta(days=1)).replace(day=1).date()
    assert found == {
        before: pytest.approx(50),
        month.date(): pytest.approx((ended - month).total_seconds()),
    }


# --- Storage ------------------------------------------------------------------------------------


def test_full_storage_refuses_until_something_was_purged(
    workspace: Workspace, submit: Submit, claim: Take, media: Path, settings: LazySettings
) -> None:
    job = submit()
    succeed(claim())
    accounts.set_quota(workspace, actor=None, max_stored_bytes=1)
    with pytest.raises(StorageFull):
        submit()
    settings.T2V_DELETED_HOURS = 0
    actions.delete(job.pk)
    with pytest.raises(StorageFull, match="after 0 h"):
        submit()
    assert purge.purge_deleted() == 1
    submit()


# --- Whatever the way in ------------------------------------------------------------------------


@pytest.mark.parametrize("quota", ["max_queued", "max_gpu_seconds", "max_stored_bytes"])
def test_every_way_to_make_a_job_is_refused_alike_and_makes_nothing(
    quota: str, workspace: Workspace, submit: Submit, claim: Take, program: Callable[..., Client]
) -> None:
    old = submit()
    alice = old.owner
    succeed(claim())
    ended = submit()
    actions.cancel(ended.pk)
    submit()
    accounts.set_quota(workspace, actor=None, **{quota: 1})  # type: ignore[arg-type]
    code = {
        "max_queued": "too_many_jobs",
        "max_gpu_seconds": "gpu_seconds_used_up",
        "max_stored_bytes": "storage_full",
    }[quota]
    status = 409 if code == "storage_full" else 429
    client, red, browser = program(alice), {"prompt": "a red circle"}, Client()
    browser.force_login(alice)
    answers = {
        "/api/v1/jobs": red,
        "/api/v1/jobs/batch": {"jobs": [red, red]},
        f"/api/v1/jobs/{old.pk}/remix": {"prompt": "a blue circle"},
        f"/api/v1/jobs/{ended.pk}/retry": {},
        "/v1/videos": red,
    }
    before = Job.objects.count()
    for address, body in answers.items():
        said = client.post(address, body, content_type=JSON)
        assert said.status_code == status, (address, said.content)
        error = said.json().get("error", said.json())
        assert error["code"] == code, address
        if address == "/v1/videos":
            kind = "rate_limit_error" if code == "too_many_jobs" else "insufficient_quota"
            assert error["type"] == kind
            assert said["x-should-retry"] == "false"
        assert ("Retry-After" in said) == (status == 429)
    form = {"model": "nano", "size": "64x64", "idempotency_key": "k", **red}
    page = browser.post("/", form)
    if page.status_code == status:
        assert "workspace" in page.content.decode()
    assert page.status_code in {status, 400}
    assert Job.objects.count() == before
    # What an operator repairs was accepted before.
    assert actions.retry(ended.pk, limited=False).workspace_id == workspace.pk


def test_who_manages_sees_what_each_uses_and_others_see_their_own(
    team: Team, submit: Submit, claim: Take
) -> None:
    accounts.set_quota(team.workspace, actor=None, max_running=1, max_gpu_seconds=1000)
    submit()
    succeed(claim())
    actions.submit(owner=team.bob, spec=spec())
    actions.submit(owner=team.bob, spec=spec())
    browser = Client()
    browser.force_login(team.alice)
    used = browser.get("/api/v1/usage").json()
    assert [each["email"] for each in used["people"]] == ["alice@example.com", "bob@example.com"]
    assert used["people"][1]["waiting_for_a_place"] == 1
    assert used["person"]["unfinished"]["count"] == 0
    assert used["workspace"]["unfinished"]["count"] == 2
    assert used["workspace"]["gpu_seconds"]["reserved"] == 2 * UNKNOWN_SECONDS
    page = browser.get("/settings/usage").content.decode()
    assert "bob@example.com" in page
    assert "1 more wait" in page
    browser.force_login(team.bob)
    assert browser.get("/api/v1/usage").json()["people"] == []
    page = browser.get("/settings/usage").content.decode()
    assert "alice@example.com" not in page
    assert f"{team.workspace.name}" in page.replace("&#x27;", "'")


def test_six_months_are_shown_and_those_of_another_workspace_of_ones_own(
    team: Team, submit: Submit, claim: Take
) -> None:
    now = datetime.now(UTC)
    this = date(now.year, now.month, 1)
    long_ago = date(now.year - 1, now.month, 1)
    for user, month, seconds in (
        (team.alice, this, 30),
        (team.bob, this, 10),
        (team.bob, long_ago, 99),
    ):
        GpuSeconds.objects.create(workspace=team.workspace, user=user, month=month, seconds=seconds)
    months = usage.months(team.workspace, team.alice, now=now)
    assert [month.month.day for month in months] == [1] * usage.MONTHS
    assert months == sorted(months, key=lambda each: each.month)
    assert (months[-1].month, months[-1].whole, months[-1].mine) == (this, 40, 30)
    assert sum(month.whole for month in months) == 40
    newest = usage.months(team.workspace, team.alice, now=datetime(2026, 2, 1, tzinfo=UTC))
    assert [f"{month.month:%Y-%m}" for month in newest][:2] == ["2025-09", "2025-10"]
    browser = Client()
    browser.force_login(team.bob)
    assert "40 s" in browser.get("/settings/usage").content.decode()
    other = accounts.open_workspace(team.alice, "Another")
    assert browser.get("/settings/usage", {"workspace": other.slug}).status_code == 404
    browser.force_login(team.alice)
    page = browser.get("/settings/usage", {"workspace": other.slug}).content.decode()
    assert "The workspace Another" in page
    assert "Nothing was rendered here yet" in page


def test_a_token_of_one_workspace_tells_what_was_used_in_that_one(
    alice: User, workspace: Workspace, submit: Submit, claim: Take
) -> None:
    submit()
    succeed(claim())
    second = accounts.open_workspace(alice, "Another")
    _, token = accounts.issue_token(alice, name="x", scopes=["jobs:read"], workspace=second)
    bound = Client(headers={"Authorization": f"Bearer {token}"})
    used = bound.get("/api/v1/usage").json()
    assert (used["workspace"]["slug"], used["jobs"]["succeeded"]) == (second.slug, 0)
    assert (used["gpu_seconds"], used["stored_bytes"]) == (0, 0)
    browser = Client()
    browser.force_login(alice)
    assert browser.get("/api/v1/usage").json()["stored_bytes"] == 1
    Membership.objects.filter(user=alice).delete()  # in none: what was used can still be read
    used = browser.get("/api/v1/usage").json()
    assert (used["workspace"], used["people"], used["stored_bytes"]) == (None, [], 1)
    assert browser.get("/settings/usage").status_code == 409


def test_a_held_job_says_for_whom_it_waits(
    workspace: Workspace, submit: Submit, program: Callable[..., Client]
) -> None:
    accounts.set_quota(workspace, actor=None, max_running=1)
    first, second = submit(), submit()
    client = program(first.owner)
    shown = client.get(f"/api/v1/jobs/{second.pk}").json()
    words = "The workspace's only place to run in is in use; it starts when that job ends."
    assert (shown["held"], shown["place"]) == (words, None)
    assert client.get(f"/api/v1/jobs/{first.pk}").json()["held"] is None
    browser = Client()
    browser.force_login(first.owner)
    page = browser.get(f"/jobs/{second.pk}/").content.decode().replace("&#x27;", "'")
    assert words in page
    actions.cancel(first.pk)
    shown = client.get(f"/api/v1/jobs/{second.pk}").json()
    assert (shown["held"], shown["place"]) == (None, 0)
