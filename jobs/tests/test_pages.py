"""Pages: every state shows, nothing half-made is left, and the lists cost the same however long."""

import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from django.conf import LazySettings
from django.test import Client
from django.utils import timezone

from accounts.models import User
from conftest import video_of
from jobs import actions
from jobs.actions import Claim
from jobs.lifecycle import State
from jobs.models import Job

pytestmark = pytest.mark.django_db
FORM = {
    "prompt": "a red circle moving right",
    "model": "nano",
    "size": "64x64",
    "frames": "25",
    "steps": "32",
    "guidance": "4.5",
    "seed": "",
    "idempotency_key": "k",
}


def test_the_composer_makes_a_job_and_leads_to_its_page(alice: User, client: Client) -> None:
    client.force_login(alice)
    answer = client.post("/", FORM)
    job = Job.objects.get()
    assert (answer.status_code, answer["Location"]) == (302, f"/jobs/{job.pk}/")
    assert job.request.spec["seed"] is not None
    # The button pressed twice, or the page sent again: the same job.
    assert client.post("/", FORM)["Location"] == f"/jobs/{job.pk}/"
    assert Job.objects.count() == 1


@pytest.mark.parametrize(
    ("change", "field", "words"),
    [
        ({"prompt": " "}, "prompt", "Say what the video should show."),
        ({"prompt": "x" * 301}, "prompt", "At most 300 characters"),
        ({"model": "sora"}, "model", "not one of the available choices"),
        ({"size": "63x64"}, "size", "not 63×64"),
        ({"size": "big"}, "size", "like 64x64"),
        ({"frames": "24"}, "frames", "not 24"),
        ({"steps": ""}, "steps", "required"),
        ({"steps": "2"}, "steps", "From 4 to 1000 steps, not 2."),
        ({"guidance": "nan"}, "guidance", "Enter a number"),
        ({"guidance": "99"}, "guidance", "not 99"),
        ({"seed": "-1"}, "seed", "From 0 to 4294967295"),
        ({"seed": "x"}, "seed", "A whole number from 0"),
        ({"quality": "best"}, "quality", "This model offers exact, fast"),
    ],
)
def test_a_bad_value_gets_its_own_message_and_makes_nothing(
    change: dict[str, str], field: str, words: str, alice: User, client: Client
) -> None:
    client.force_login(alice)
    answer = client.post("/", FORM | change)
    assert answer.status_code == 400
    errors = answer.context["form"].errors
    assert list(errors) == [field]
    assert words in " ".join(errors[field])
    assert words.encode() in answer.content
    assert not Job.objects.exists()


def _end(job: Job, mine: Claim, state: State) -> None:
    match state:
        case State.SUCCEEDED:
            actions.succeed(mine, [video_of(mine)])
        case State.CANCELLED:
            actions.cancel(job.pk)
            actions.obey_cancel(mine)
        case State.FAILED:
            actions.fail(mine, code="bad_prompt", message="It cannot be drawn.", permanent=True)
        case State.PARKED:
            Job.objects.filter(pk=job.pk).update(max_attempts=1)
            actions.fail(mine, code="gpu_lost", message="The GPU went away.", permanent=False)


@pytest.mark.parametrize("state", list(State))
def test_every_state_has_its_page(
    state: State,
    submit: Callable[..., Job],
    claim: Callable[..., Claim],
    alice: User,
    client: Client,
) -> None:
    job = submit()
    if state is State.EXPIRED:
        past = timezone.now() - timedelta(hours=1)
        Job.objects.filter(pk=job.pk).update(deadline=past)
        actions.expire()
    elif state is not State.QUEUED:
        _end(job, claim(), state)
    client.force_login(alice)
    page = client.get(f"/jobs/{job.pk}/")
    assert page.context["job"]["state"] == state
    assert f'data-state="{state}"'.encode() in page.content
    job.refresh_from_db()
    if job.error_message:
        assert job.error_message.encode() in page.content
    in_studio = f'data-job-id="{job.pk}"'.encode() in client.get("/").content
    assert in_studio == (state is not State.CANCELLED)  # which is over, and no video


def test_a_job_can_be_made_again_with_the_same_values(
    submit: Callable[..., Job], alice: User, charlie: User, client: Client
) -> None:
    job = submit("a blue star rising", steps=50, seed=9)
    client.force_login(alice)
    initial = client.get(f"/?from={job.pk}").context["form"].initial
    assert (initial["prompt"], initial["steps"], initial["seed"]) == ("a blue star rising", 50, 9)
    client.force_login(charlie)
    for wanted in (job.pk, "nonsense"):
        assert client.get(f"/?from={wanted}").context["form"].initial == {}


def test_a_fast_video_is_labelled_wherever_it_shows_and_is_made_again_as_a_fast_one(
    submit: Callable[..., Job], alice: User, client: Client
) -> None:
    client.force_login(alice)
    submit()
    assert b"Fast (approximate)</span>" not in client.get("/").content
    answer = client.post("/", FORM | {"quality": "fast"})
    page = client.get(answer["Location"])
    assert b'<span class="badge quality">Fast (approximate)</span>' in page.content
    assert ("Quality", "fast, approximate: differs slightly from exact") in page.context["recipe"]
    assert client.get("/").content.count(b"Fast (approximate)</span>") == 1
    again = client.get(f"/?from={Job.objects.latest('created_at').pk}").content.decode()
    assert '<option value="fast" selected>' in again


def test_an_exact_video_has_no_label_and_says_exact_in_its_recipe(
    submit: Callable[..., Job], alice: User, client: Client
) -> None:
    client.force_login(alice)
    page = client.get(f"/jobs/{submit().pk}/")
    assert ("Quality", "exact") in page.context["recipe"]
    assert b"badge quality" not in page.content


def test_a_fast_video_keeps_its_label_when_its_quality_is_no_longer_on_offer(
    submit: Callable[..., Job],
    alice: User,
    client: Client,
    settings: LazySettings,
    tmp_path: Path,
) -> None:
    job = submit(quality="fast")
    settings.T2V_MODELS_FILE = _without_qualities(settings, tmp_path)
    client.force_login(alice)
    page = client.get(f"/jobs/{job.pk}/")
    assert b'<span class="badge quality">fast</span>' in page.content
    assert client.get(f"/?from={job.pk}").status_code == 200


def test_the_form_asks_for_a_quality_only_where_there_is_a_choice(
    alice: User, client: Client, settings: LazySettings, tmp_path: Path
) -> None:
    client.force_login(alice)
    hidden = b'<div class="field wide" hidden data-field="quality">'
    assert hidden not in client.get("/").content
    settings.T2V_MODELS_FILE = _without_qualities(settings, tmp_path)
    assert hidden in client.get("/").content
    refused = client.post("/", FORM | {"quality": "fast"})  # of a page from before
    assert refused.status_code == 400
    assert hidden not in refused.content


def _without_qualities(settings: LazySettings, folder: Path) -> Path:
    """A models file with the same models, none of which has a fast quality."""
    text = Path(settings.T2V_MODELS_FILE).read_text(encoding="utf-8")
    bare = folder / "models.toml"
    bare.write_text(re.sub(r"(?ms)^\[[\w-]+\.qualities\..*?(?=^\[|\Z)", "", text), encoding="utf-8")
    return bare


def test_a_prompt_cannot_break_out_of_the_page(
    submit: Callable[..., Job], alice: User, client: Client
) -> None:
    nasty = '</script><img src=x onerror="alert(1)">'
    job = submit(nasty)
    client.force_login(alice)
    for url in ("/", f"/jobs/{job.pk}/"):
        assert nasty.encode() not in client.get(url).content


def test_a_form_sent_after_signing_out_leads_to_the_sign_in_and_makes_nothing(
    client: Client,
) -> None:
    answer = client.post("/", FORM)
    assert (answer.status_code, answer["Location"]) == (302, "/accounts/login/?next=/")
    assert not Job.objects.exists()


def test_pages_forbid_scripts_and_frames_of_others(client: Client) -> None:
    answer = client.get("/")
    policy = answer["Content-Security-Policy"]
    assert "default-src 'self'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert answer["X-Content-Type-Options"] == "nosniff"


def test_a_cancel_button_needs_the_pages_own_token(submit: Callable[..., Job], alice: User) -> None:
    job = submit()
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(alice)
    assert strict.post(f"/jobs/{job.pk}/cancel").status_code == 403
    job.refresh_from_db()
    assert job.state == State.QUEUED


def test_a_job_that_was_tried_again_and_the_new_one_lead_to_each_other(
    submit: Callable[..., Job], alice: User, client: Client
) -> None:
    job = submit()
    actions.cancel(job.pk)
    new = actions.retry(job.pk)
    client.force_login(alice)
    assert f'href="/jobs/{new.pk}/"' in client.get(f"/jobs/{job.pk}/").content.decode()
    assert f'href="/jobs/{job.pk}/"' in client.get(f"/jobs/{new.pk}/").content.decode()


def test_a_verb_tells_a_script_what_became_of_it_and_leads_a_form_on(
    submit: Callable[..., Job], claim: Callable[..., Claim], alice: User, client: Client
) -> None:
    client.force_login(alice)
    done = submit()
    _end(done, claim(), State.SUCCEEDED)
    script = {"accept": "application/json"}
    answer = client.post(f"/jobs/{submit().pk}/cancel", headers=script)
    told = {"message": "Cancelled.", "undo": None, "state": "cancelled"}
    assert (answer.status_code, answer.json()) == (200, told)
    assert Job.objects.filter(state=State.CANCELLED).count() == 1
    refusal = client.post(f"/jobs/{done.pk}/cancel", headers=script)
    assert (refusal.status_code, refusal["Content-Type"]) == (409, "application/problem+json")
    page = client.post(f"/jobs/{done.pk}/cancel", follow=True)
    assert page.redirect_chain == [(f"/jobs/{done.pk}/", 302)]
    assert [str(each) for each in page.context["messages"]] == [refusal.json()["detail"]]
