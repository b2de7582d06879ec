"""Models switched off and narrowed by operators: who is refused, what goes on, what it costs."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from django.test import Client

from accounts.models import AuditEntry, User
from jobs import actions, models_switch, offer
from jobs.actions import Claim
from jobs.errors import BadFields, ModelOff
from jobs.models import Job, ModelSwitch
from jobs.models_switch import Seen, Switch

pytestmark = pytest.mark.django_db
OFF = {"note": "its weights are checked", "reason": "a bad batch"}


@pytest.fixture
def change(console: Client) -> Callable[..., Any]:
    """Sets a model by the console's form; nothing said is off, or the file's."""

    def _change(name: str = "nano", **values: object) -> Any:
        return console.post(f"/admin/models/{name}/", values)

    return _change


@pytest.fixture(autouse=True)
def _two(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two models, of which one can be off: the same under another name."""
    known = offer.configured()
    other = replace(known["nano"], name="other")
    monkeypatch.setattr(offer, "configured", lambda: {**known, "other": other})


def test_a_model_that_is_off_is_not_offered_and_refused_and_what_was_accepted_goes_on(
    submit: Callable[..., Job],
    claim: Callable[..., Claim],
    change: Callable[..., Any],
    program: Callable[..., Client],
) -> None:
    before, parked = submit(), submit()
    olga = User.objects.get(email="olga@example.com")
    assert change(**OFF)["Location"] == "/admin/models/"
    hers = program(before.owner)
    listed = hers.get("/api/v1/models").json()
    assert [entry["name"] for entry in listed] == ["other"]
    for path, body in (
        ("/api/v1/jobs", {"prompt": "a red circle", "model": "nano"}),
        ("/api/v1/jobs/dry-run", {"prompt": "a red circle", "model": "nano"}),
    ):
        answer = hers.post(path, json.dumps(body), content_type="application/json")
        assert (answer.status_code, answer.json()["code"]) == (400, "model_off")
        assert "its weights are checked" in answer.json()["fields"]["model"]
        assert "choose other" in answer.json()["fields"]["model"]
    assert claim().job == before.pk
    actions.cancel(parked.pk)
    with pytest.raises(ModelOff):
        actions.retry(parked.pk, limited=True)
    assert actions.retry(parked.pk).pk  # an operator repairs what was accepted
    entry = AuditEntry.objects.get(verb="model.switched")
    assert (entry.actor_id, entry.subject) == (olga.pk, "nano")
    assert (entry.data["on"], entry.data["reason"]) == (False, "a bad batch")

    change(on="on", reason="they are good")
    assert list(offer.models()) == ["nano", "other"]
    assert ModelSwitch.objects.get().note == ""


def test_a_narrowed_model_says_so_in_its_limits_and_defaults(change: Callable[..., Any]) -> None:
    entry = offer.models()["nano"]
    frames, steps = entry.limits.frames[0], entry.limits.min_steps
    change(on="on", max_frames=frames, max_steps=steps, reason="a busy week")
    narrow = offer.models()["nano"]
    assert (narrow.limits.frames, narrow.limits.max_steps) == ((frames,), steps)
    assert (narrow.defaults.frames, narrow.defaults.steps) == (frames, steps)
    assert offer.models()["other"].limits == entry.limits
    with pytest.raises(BadFields):
        offer.make_spec(
            model="nano",
            prompt="a red circle",
            size=None,
            frames=entry.limits.frames[-1],
            steps=None,
            guidance=None,
            seed=None,
        )


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"on": "on"}, "This field is required."),
        ({"on": "on", "reason": "x", "max_frames": "1"}, "the shortest clip"),
        ({"on": "on", "reason": "x", "max_steps": "1"}, "the fewest"),
        ({"on": "on", "reason": "x", "max_steps": "-1"}, "greater than or equal to 1"),
        ({"on": "on", "reason": "x" * 201}, "at most 200 characters"),
    ],
)
def test_nonsense_is_told_at_its_field_and_changes_nothing(
    values: dict[str, str], words: str, change: Callable[..., Any]
) -> None:
    assert words in change(**values).content.decode()
    assert not ModelSwitch.objects.exists()


def test_the_last_model_that_is_on_stays_so(change: Callable[..., Any]) -> None:
    assert change("other", **OFF).status_code == 302
    assert "It is the last one that is on" in change(**OFF).content.decode()
    assert list(offer.models()) == ["nano"]
    assert change("nothing", **OFF).status_code == 404


def test_requests_pay_for_the_switches_once_in_a_few_seconds(
    django_assert_num_queries: Callable[[int], Any], monkeypatch: pytest.MonkeyPatch, olga: User
) -> None:
    monkeypatch.setattr(models_switch, "_seen", None)
    monkeypatch.setattr(models_switch, "KEPT_SECONDS", 1e6)  # however slow this machine is
    with django_assert_num_queries(1):
        for _ in range(100):
            offer.models()
    # What another process writes is heard when the look is old.
    ModelSwitch.objects.create(name="nano", on=False)
    assert "nano" in offer.models()
    monkeypatch.setattr(models_switch, "_seen", Seen({}, 0.0))
    assert "nano" not in offer.models()
    models_switch.switch("nano", Switch(), among=offer.configured(), by=olga, reason="x")
    assert "nano" in offer.models()


def test_a_site_whose_every_model_is_off_offers_them_all() -> None:
    ModelSwitch.objects.bulk_create(ModelSwitch(name=name, on=False) for name in ("nano", "other"))
    models_switch.forget()
    assert list(offer.models()) == ["nano", "other"]
