"""The operators' console: who gets in, what it shows, what its buttons do, what it costs."""

import json
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from accounts.models import AuditEntry, User
from accounts.roles import SiteRole
from jobs import actions
from jobs.actions import Claim
from jobs.admin.job import StateFilter
from jobs.lifecycle import State
from jobs.models import Job, KeptPreview, Worker

pytestmark = pytest.mark.django_db

ROUTES = {
    "queue": ("GET", "/queue"),
    "part": ("GET", "/queue?part=1"),
    "retry many": ("POST", "/queue/retry"),
    "cancel many": ("POST", "/queue/cancel"),
    "drain": ("POST", "/queue/drain"),
    "list": ("GET", "/admin/jobs/job/"),
    "job": ("GET", "/admin/jobs/job/{job}/change/"),
    "retry": ("POST", "/admin/jobs/job/{job}/retry/"),
    "ask to cancel": ("GET", "/admin/jobs/job/{job}/cancel/"),
    "cancel": ("POST", "/admin/jobs/job/{job}/cancel/"),
    "diagnosis": ("GET", "/admin/jobs/job/{job}/diagnosis.json"),
    "preview": ("GET", "/admin/jobs/job/{job}/preview"),
    "workers": ("GET", "/admin/jobs/worker/"),
}


@pytest.fixture
def staff(db: None) -> User:
    """Django's own flag opens nothing here."""
    return User.objects.create(email="sam@example.com", is_staff=True)


@pytest.mark.parametrize("route", ROUTES)
def test_only_operators_get_into_the_console(
    route: str, parked: Job, staff: User, client: Client, request: pytest.FixtureRequest
) -> None:
    olga, charlie = request.getfixturevalue("olga"), request.getfixturevalue("charlie")
    method, path = ROUTES[route]
    path = path.format(job=parked.pk)
    answers = {}
    for who in (None, charlie, parked.owner, staff, olga):
        client.logout()
        if who is not None:
            client.force_login(who)
        answer = client.get(path) if method == "GET" else client.post(path, {"reason": "a test"})
        where = answer.headers.get("Location", "").partition("?")[0]
        answers[who.email if who else "nobody"] = (answer.status_code, where)
    sign_in = (302, "/admin/login/")
    assert answers["nobody"] == sign_in
    for who in ("charlie", "alice", "sam"):
        assert answers[f"{who}@example.com"] == (403, "")
    assert answers["olga@example.com"][0] == (200 if method == "GET" else 302)
    assert answers["olga@example.com"][1] != sign_in[1]


@pytest.mark.parametrize(
    "path", ["/queue/retry", "/queue/cancel", "/queue/drain", "/admin/jobs/job/{job}/retry/"]
)
def test_a_button_needs_its_pages_own_token_and_a_post(path: str, parked: Job, olga: User) -> None:
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(olga)
    where = path.format(job=parked.pk)
    assert strict.post(where, {"job": str(parked.pk), "worker": "gpu-1"}).status_code == 403
    assert strict.get(f"{where}?worker=gpu-1").status_code in {200, 405}
    assert Job.objects.count() == 1
    assert Worker.objects.get().drain_requested_at is None


def test_an_operator_who_was_deactivated_gets_no_further(
    parked: Job, olga: User, console: Client
) -> None:
    User.objects.filter(pk=olga.pk).update(is_active=False)
    assert console.post(f"/admin/jobs/job/{parked.pk}/retry/").status_code == 302
    assert Job.objects.count() == 1


def test_a_jobs_page_shows_its_diagnosis_and_changes_nothing(
    parked: Job, console: Client, django_assert_max_num_queries: Callable[[int], Any]
) -> None:
    where = f"/admin/jobs/job/{parked.pk}/change/"
    with django_assert_max_num_queries(14):
        answer = console.get(where)
    page = answer.content.decode()
    for words in (
        "a blue star rising",
        "The memory did not suffice.",
        "Step 8 of attempt 1",
        "Step 8 of 32, attempt 1",
        f"/admin/jobs/job/{parked.pk}/preview",
        "Try again",
    ):
        assert words in page
    assert 'name="_save"' not in page
    assert console.post(where, {"state": "queued"}).status_code == 403
    assert console.post(f"/admin/jobs/job/{parked.pk}/delete/").status_code == 403


def test_the_diagnosis_is_a_file_and_the_preview_an_image(parked: Job, console: Client) -> None:
    answer = console.get(f"/admin/jobs/job/{parked.pk}/diagnosis.json")
    assert json.loads(answer.content)["job"]["id"] == str(parked.pk)
    assert "attachment" in answer["Content-Disposition"]
    image = console.get(f"/admin/jobs/job/{parked.pk}/preview")
    assert (image.content, image["Content-Type"]) == (b"\xff\xd8picture", "image/jpeg")
    for each in (answer, image):
        assert "no-store" in each["Cache-Control"]
    KeptPreview.objects.all().delete()
    assert console.get(f"/admin/jobs/job/{parked.pk}/preview").status_code == 404
    assert console.get(f"/admin/jobs/job/{uuid.uuid4()}/preview").status_code == 404


def test_a_cancel_asks_first(
    submit: Callable[..., Job], claim: Callable[..., Claim], console: Client
) -> None:
    job, held = submit(), claim()
    where = f"/admin/jobs/job/{job.pk}/cancel/"
    assert b"It stops after the step at hand." in console.get(where).content
    assert b"This field is required." in console.post(where).content
    assert not actions.orders(held).cancel
    for _ in range(2):  # the second press changes nothing, and nothing is noted of it
        console.post(where, {"reason": "its owner asked for it"})
    noted = AuditEntry.objects.get(verb="job.cancelled")
    assert (noted.subject, noted.data) == (str(job.pk), {"reason": "its owner asked for it"})
    assert actions.orders(held).cancel
    actions.obey_cancel(held)
    page = console.get(f"/admin/jobs/job/{job.pk}/change/").content.decode()
    assert where not in page
    assert f"/admin/jobs/job/{job.pk}/retry/" in page


def test_a_prompt_cannot_break_out_of_the_console(
    submit: Callable[..., Job], claim: Callable[..., Claim], console: Client
) -> None:
    nasty = '</script><img src=x onerror="alert(1)">'
    waits, runs = submit(nasty), submit(nasty)
    claim()
    changes = (f"admin/jobs/job/{job.pk}/change/" for job in (waits, runs))
    for where in ("queue", "admin/jobs/job/", *changes):
        assert nasty not in console.get(f"/{where}").content.decode()


# --- The list --------------------------------------------------------------------------------


def _listed(console: Client, query: str) -> list[str]:
    answer = console.get(f"/admin/jobs/job/{query}")
    assert answer.status_code == 200, answer.headers
    return [str(job.pk) for job in answer.context["cl"].result_list]


def test_the_list_is_filtered_by_state_with_the_dead_letters_first(
    mixed: dict[str, Job], console: Client
) -> None:
    for state, job in mixed.items():
        assert _listed(console, f"?state={state}") == [str(job.pk)]
    assert _listed(console, "?state=left") == [str(mixed["parked"].pk)]
    actions.retry(mixed["parked"].pk)
    assert _listed(console, "?state=left") == []
    assert len(_listed(console, "?state=nonsense")) == 6
    page = console.get("/admin/jobs/job/").content.decode()
    assert page.index("Parked, not tried again") < page.index("Succeeded")


def test_a_job_is_found_by_its_id_by_its_beginning_and_by_its_owner(
    submit: Callable[..., Job], console: Client
) -> None:
    job = submit()
    for term in (job.pk, job.pk.hex, str(job.pk)[:8], str(job.pk)[:13], "ALICE@example.com"):
        assert _listed(console, f"?q={term}") == [str(job.pk)]
    for term in ("abc", "nonsense", "bob@example.com", str(uuid.uuid4())):
        assert _listed(console, f"?q={term}") == []


def test_the_list_costs_the_same_however_long_it_is(
    submit: Callable[..., Job],
    console: Client,
    django_assert_max_num_queries: Callable[[int], Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("accounts.console.COUNTED", 60)
    made = [str(submit().pk) for _ in range(70)]
    with django_assert_max_num_queries(6):
        assert _listed(console, "") == made[:-51:-1]
    assert _listed(console, "?p=2") == made[-51:-61:-1]
    assert console.get("/admin/jobs/job/").context["cl"].result_count == 60


def test_the_console_leads_operators_to_the_queue_and_nobody_else(
    console: Client, staff: User
) -> None:
    assert b'href="/queue"' in console.get("/admin/").content
    console.force_login(staff)
    assert console.get("/admin/").status_code == 403
    User.objects.filter(pk=staff.pk).update(role=SiteRole.OPERATOR)
    assert b"/queue" in console.get("/admin/").content


def test_every_state_has_its_filter() -> None:
    assert set(StateFilter.ORDER) == {state.value for state in State}
