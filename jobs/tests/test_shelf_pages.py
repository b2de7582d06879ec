"""The library's verbs as its page posts them, and as a form without scripts does."""

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from django.test import Client

from accounts.models import User
from accounts.roles import Role
from jobs import actions
from jobs.models import Favourite, Job, JobTag
from jobs.tag_name import TagName
from jobs.tests.crowd import fill

pytestmark = pytest.mark.django_db
ACT = "/library/act"


@pytest.fixture
def jobs(alice: User, client: Client) -> list[str]:
    """Clips of alice's, who is signed in."""
    fill(alice, 3, clips=True)
    client.force_login(alice)
    return [str(job) for job in Job.objects.filter(state="succeeded").values_list("pk", flat=True)]


@pytest.fixture
def act(client: Client) -> Callable[..., dict[str, Any]]:
    """As static/js/act.js does."""

    def _act(**sent: object) -> dict[str, Any]:
        answer = client.post(ACT, sent, headers={"accept": "application/json"})
        told: dict[str, Any] = answer.json()
        return told | {"status": answer.status_code}

    return _act


@pytest.mark.parametrize(
    ("verb", "back", "told"),
    [
        ("favourite", "unfavourite", "Added 3 clips to your favourites."),
        ("tag", "untag", "Tagged 3 clips “for the film”."),
        ("delete", "restore", "Deleted 3 clips."),
    ],
)
def test_a_verb_says_what_it_did_and_how_to_take_it_back(
    verb: str, back: str, told: str, jobs: list[str], act: Callable[..., dict[str, Any]]
) -> None:
    tag = {"tag": "for the film"} if verb == "tag" else {}
    did = act(verb=verb, job=jobs, **tag)
    assert (did["status"], did["message"]) == (200, told)
    assert sorted(did["done"]) == sorted(jobs)
    assert did["refused"] == []
    assert did["undo"] | {"job": sorted(did["undo"]["job"])} == {
        "verb": back,
        "job": sorted(jobs),
        **tag,
    }
    undone = act(**did["undo"])
    assert sorted(undone["done"]) == sorted(jobs)
    assert undone["undo"]["verb"] == verb
    assert not Favourite.objects.exists()
    assert not JobTag.objects.exists()
    assert Job.objects.kept().filter(state="succeeded").count() == 3


def test_undo_takes_back_only_what_was_changed(
    jobs: list[str], act: Callable[..., dict[str, Any]], alice: User
) -> None:
    actions.favourite(alice, list(Job.objects.filter(pk=jobs[0]).values_list("pk", flat=True)))
    assert sorted(act(verb="favourite", job=jobs)["undo"]["job"]) == sorted(jobs[1:])
    assert act(verb="favourite", job=jobs)["undo"] is None


def test_what_is_refused_is_named_and_keeps_nothing_else_from_being_done(
    jobs: list[str],
    act: Callable[..., dict[str, Any]],
    bob: User,
    join: Callable[[User, Role], None],
    client: Client,
) -> None:
    join(bob, Role.VIEWER)
    client.force_login(bob)
    gone = str(uuid4())
    did = act(verb="favourite", job=[jobs[0], gone])
    assert did["done"] == [jobs[0]]
    assert [(each["id"], each["code"]) for each in did["refused"]] == [(gone, "not_found")]
    assert did["message"] == (
        "Added 1 clip to your favourites. 1 clip left as before: "
        "It is not there any more, or you may not see it."
    )
    did = act(verb="favourite", job=[gone, str(uuid4())])
    assert did["message"] == (
        "2 clips left as before: They are not there any more, or you may not see them."
    )
    did = act(verb="delete", job=jobs)
    assert (did["done"], did["undo"], len(did["refused"])) == ([], None, 3)
    assert did["refused"][0]["detail"].endswith("does not let you delete this video.")


@pytest.mark.parametrize(
    ("sent", "field"),
    [
        ({"verb": "burn"}, "verb"),
        ({"verb": "favourite", "job": []}, "job"),
        ({"verb": "favourite", "job": ["x"]}, "job"),
        ({"verb": "favourite", "job": [str(uuid4()) for _ in range(201)]}, "job"),
        ({"verb": "tag", "job": [str(uuid4())]}, "tag"),
        ({"verb": "tag", "job": [str(uuid4())], "tag": "a,b"}, "tag"),
    ],
)
def test_what_makes_no_sense_is_refused_at_its_field(
    sent: dict[str, object], field: str, jobs: list[str], act: Callable[..., dict[str, Any]]
) -> None:
    did = act(**sent)
    assert (did["status"], list(did["fields"])) == (400, [field])


def test_without_scripts_a_form_leads_back_with_words_and_a_way_to_undo(
    jobs: list[str], client: Client
) -> None:
    sent = {"verb": "delete", "job": jobs, "next": "/library?q=red"}
    answer = client.post(ACT, sent)
    assert (answer.status_code, answer["Location"]) == (302, "/library?q=red")
    (message,) = answer.wsgi_request._messages  # type: ignore[attr-defined]  # Django's own way
    assert str(message) == "Deleted 3 clips."
    undo = message.extra_tags.removeprefix("undo:")
    assert client.post(undo).status_code == 302
    assert Job.objects.kept().filter(state="succeeded").count() == 3
    for elsewhere in ("https://evil.example/", "//evil.example", "javascript:alert(1)"):
        answer = client.post(ACT, sent | {"next": elsewhere, "verb": "favourite"})
        assert answer["Location"] == "/library"


def test_a_page_completes_tags_by_how_they_begin(
    jobs: list[str], alice: User, charlie: User, client: Client
) -> None:
    ids = list(Job.objects.filter(state="succeeded").values_list("pk", flat=True))
    for name, some in (("Film", ids), ("final", ids[:1]), ("other", ids[:2]), ("50%_off", ids[:1])):
        actions.tag(alice, some, TagName.read(name))

    def completed(query: str) -> list[str]:
        return [each["name"] for each in client.get(f"/library/tags?q={query}").json()["tags"]]

    assert completed("") == ["Film", "other", "50%_off", "final"]
    assert completed("FI") == ["Film", "final"]
    assert completed("%25") == []
    assert completed("%00o") == ["other"]
    client.force_login(charlie)
    assert completed("") == []
