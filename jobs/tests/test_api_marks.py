"""Favourites and tags over REST."""

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from accounts.models import User, Workspace
from accounts.roles import Role, Scope
from jobs import actions
from jobs.models import Favourite, Job
from jobs.tag_name import TagName

pytestmark = pytest.mark.django_db
Program = Callable[..., Client]


def mark(client: Client, job: Job, **body: object) -> Any:
    return client.patch(f"/api/v1/jobs/{job.pk}", body, content_type="application/json")


def test_a_program_marks_a_job_and_what_it_leaves_out_stays(
    submit: Callable[..., Job], alice: User, program: Program
) -> None:
    job, client = submit(), program(alice)
    told = mark(client, job, favourite=True, tags=["film", " For  the trailer "]).json()
    assert (told["favourite"], told["tags"]) == (True, ["film", "For the trailer"])
    told = mark(client, job, tags=["FILM"]).json()
    assert (told["favourite"], told["tags"]) == (True, ["film"])
    told = mark(client, job, favourite=False).json()
    assert (told["favourite"], told["tags"]) == (False, ["film"])
    (listed,) = client.get("/api/v1/jobs").json()["results"]
    assert (listed["favourite"], listed["tags"]) == (False, ["film"])
    assert mark(client, job).status_code == 200


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"tags": ["a,b"]}, "bad_tag"),
        ({"tags": [""]}, "bad_tag"),
        ({"tags": ["x" * 41]}, "bad_tag"),
        ({"tags": "film"}, "bad_spec"),
        ({"tags": [str(number) for number in range(21)]}, "bad_spec"),
        ({"favourite": "perhaps"}, "bad_spec"),
        ({"favourite": None}, "bad_spec"),
    ],
)
def test_marks_that_are_none_are_refused_and_nothing_is_changed(
    body: dict[str, Any],
    code: str,
    submit: Callable[..., Job],
    alice: User,
    program: Program,
) -> None:
    job, client = submit(), program(alice)
    mark(client, job, tags=["film"])
    answer = mark(client, job, **{"favourite": True} | body)
    assert (answer.status_code, answer.json()["code"]) == (400, code)
    assert list(answer.json()["fields"]) == list(body)
    assert client.get(f"/api/v1/jobs/{job.pk}").json()["tags"] == ["film"]
    assert not Favourite.objects.exists()


def test_a_viewer_has_favourites_and_tags_nothing(
    submit: Callable[..., Job], bob: User, join: Callable[[User, Role], None], program: Program
) -> None:
    job = submit()
    join(bob, Role.VIEWER)
    client = program(bob)
    assert mark(client, job, favourite=True).json()["favourite"] is True
    answer = mark(client, job, favourite=False, tags=["film"])
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
    assert Favourite.objects.count() == 1
    reads = mark(program(bob, Scope.JOBS_READ), job, favourite=False)
    assert (reads.status_code, reads.json()["code"]) == (403, "insufficient_scope")


def test_a_list_holds_the_favourites_and_tags_that_its_query_names(
    submit: Callable[..., Job], alice: User, olga: User, program: Program, workspace: Workspace
) -> None:
    client = program(alice)
    one, two, three = (str(submit().pk) for _ in range(3))
    jobs = {job.pk: job for job in Job.objects.all()}
    by_id = {str(pk): pk for pk in jobs}
    actions.favourite(alice, [by_id[one], by_id[three]])
    actions.tag(alice, [by_id[one], by_id[two]], TagName.read("Film"))
    actions.tag(alice, [by_id[two]], TagName.read("second"))
    for query, expected in (
        ("favourite=true", [three, one]),
        ("favourite=false", [three, two, one]),
        ("tag=film", [two, one]),
        ("tag=FILM&tag=second", [two]),
        ("tag=film,second", [two]),
        ("tag=nothing", []),
        ("tag=film&favourite=true&mine=true", [one]),
    ):
        found = client.get(f"/api/v1/jobs?{query}").json()["results"]
        assert [job["id"] for job in found] == expected, query
    for query, field in (("favourite=yes", "favourite"), ("tag=%00", "tag")):
        answer = client.get(f"/api/v1/jobs?{query}")
        assert (answer.status_code, list(answer.json()["fields"])) == (400, [field])
    everybodys = program(olga).get(f"/api/v1/jobs?workspace={workspace.slug}&favourite=true")
    assert everybodys.json()["results"] == [], "hers, not alice's"


def test_the_tags_of_a_workspace_are_told_to_those_who_are_in_it(
    submit: Callable[..., Job],
    alice: User,
    charlie: User,
    workspace: Workspace,
    program: Program,
) -> None:
    jobs = [submit().pk, submit().pk]
    actions.tag(alice, jobs[:1], TagName.read("once"))
    actions.tag(alice, jobs, TagName.read("twice"))
    told = program(alice).get("/api/v1/tags").json()
    assert told == {"results": [{"name": "twice", "used": 2}, {"name": "once", "used": 1}]}
    assert program(charlie).get("/api/v1/tags").json() == {"results": []}
    foreign = program(charlie).get(f"/api/v1/tags?workspace={workspace.slug}")
    assert (foreign.status_code, list(foreign.json()["fields"])) == (400, ["workspace"])
