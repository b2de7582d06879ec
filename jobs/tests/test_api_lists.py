"""Lists of jobs: which, in what order, by page, and at what cost."""

import base64
import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any
from urllib.parse import quote

import pytest
from django.db import connection
from django.db.models import QuerySet
from django.http import QueryDict
from django.test import Client

from accounts.models import User
from conftest import video_of
from jobs import actions, filters
from jobs.access import visible_jobs
from jobs.actions import Claim
from jobs.cursors import ORDERINGS, Cursor, Wanted, select
from jobs.filters import chosen
from jobs.models import Job, JobRequest
from jobs.tests.crowd import fill

pytestmark = pytest.mark.django_db
Answer = Callable[..., Any]


@pytest.fixture
def listed(alice: User, client: Client) -> Answer:
    """What the list says to alice; a str is a whole address."""
    client.force_login(alice)

    def _listed(query: str = "") -> Any:
        address = query if query.startswith("http") else f"/api/v1/jobs?{query}"
        answer = client.get(address)
        assert answer.status_code == 200, answer.content
        return answer.json()

    return _listed


@pytest.fixture
def several(submit: Callable[..., Job], claim: Callable[..., Claim]) -> dict[str, str]:
    """Id of one job in each state but expired, and one with a fast quality, oldest first."""
    made = {}
    for name in ("succeeded", "failed", "parked", "running"):
        job = submit(f"a red circle {name}")
        Job.objects.filter(pk=job.pk).update(max_attempts=1)
        held = claim()
        if name == "succeeded":
            actions.succeed(held, [video_of(held)])
        elif name != "running":
            permanent = name == "failed"
            actions.fail(held, code="bad", message="It broke.", permanent=permanent)
        made[name] = str(job.pk)
    gone = submit("a blue star, gone")
    actions.cancel(gone.pk)
    made["cancelled"] = str(gone.pk)
    made["queued"] = str(submit("a green square rising", quality="fast").pk)
    return made


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("state=queued", ["queued"]),
        ("state=queued&state=running", ["queued", "running"]),
        ("state=queued,running", ["queued", "running"]),
        ("state=failed,parked,cancelled,expired", ["cancelled", "parked", "failed"]),
        ("state=", ["queued", "cancelled", "running", "parked", "failed", "succeeded"]),
        ("quality=fast", ["queued"]),
        ("quality=exact", ["cancelled", "running", "parked", "failed", "succeeded"]),
        ("quality=exact,fast&state=queued", ["queued"]),
        ("model=nano&state=parked", ["parked"]),
        ("model=sora", []),
        ("search=star", ["cancelled"]),
        ("search=STAR", ["cancelled"]),
        ("search=circle+red&state=running", ["running"]),
        ("search=%22red+circle%22&state=running,failed", ["running", "failed"]),
        ("search=%22circle+red%22", []),
        ("search=red+-failed&state=failed,parked", ["parked"]),
        ("search=sta", []),
        ("search=%27+%7C+%26", []),
        ("created_after=2020-01-01T00:00:00Z&state=parked", ["parked"]),
        ("created_before=2020-01-01T00:00:00Z", []),
        ("created_after=2999-01-01", []),
        ("created_after=0001-01-01T00:00:00%2B14:00&state=parked", ["parked"]),
        ("ordering=created_at&state=failed,parked", ["failed", "parked"]),
        ("ordering=finished_at", ["succeeded", "failed", "parked", "cancelled"]),
        ("ordering=-finished_at", ["cancelled", "parked", "failed", "succeeded"]),
    ],
)
def test_a_list_holds_what_its_query_says_in_the_order_it_says(
    query: str, expected: list[str], several: dict[str, str], listed: Answer
) -> None:
    found = [job["id"] for job in listed(query)["results"]]
    assert [name for job in found for name, known in several.items() if known == job] == expected


def test_a_job_from_before_there_were_qualities_is_listed_as_exact(
    submit: Callable[..., Job], listed: Answer
) -> None:
    job = submit()
    old = {key: value for key, value in job.request.spec.items() if key != "quality"}
    JobRequest.objects.filter(job=job).update(spec=old)
    assert len(listed("quality=exact")["results"]) == 1
    assert listed("quality=fast")["results"] == []


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("state=dreaming", "state"),
        ("stat=queued", "stat"),
        ("search=%00", "search"),
        ("search=" + "x" * 201, "search"),
        ("model=%00", "model"),
        ("model=a,b&" * 11, "model"),
        ("created_after=yesterday", "created_after"),
        ("created_before=99999-01-01", "created_before"),
        ("ordering=prompt", "ordering"),
        ("ordering=-id", "ordering"),
        ("limit=0", "limit"),
        ("limit=-1", "limit"),
        ("limit=many", "limit"),
        ("limit=%D9%A3", "limit"),
        ("cursor=x", "cursor"),
        ("cursor=" + "A" * 400, "cursor"),
        ("cursor=" + quote(base64.b64encode(b"[1]").decode()), "cursor"),
        ("cursor=" + quote(base64.b64encode(b'["-created_at","x","y",1]').decode()), "cursor"),
        ("cursor=" + quote(base64.b64encode(b"[" * 200).decode()), "cursor"),
    ],
)
def test_a_query_that_makes_no_sense_is_a_problem_that_names_its_parameter(
    query: str, field: str, alice: User, client: Client
) -> None:
    client.force_login(alice)
    answer = client.get(f"/api/v1/jobs?{query}")
    assert answer.status_code == 400
    assert answer["Content-Type"] == "application/problem+json"
    assert (answer.json()["code"], list(answer.json()["fields"])) == ("bad_request", [field])


def test_a_time_may_be_told_by_any_clock(submit: Callable[..., Job], listed: Answer) -> None:
    """Postgres itself takes no offset beyond 15:59:59."""
    submit()
    assert len(listed("created_after=2000-01-01T00:00:00%2B23:59")["results"]) == 1
    assert listed("created_before=2000-01-01T00:00:00-23:59")["results"] == []
    parts = ["-created_at", "2999-01-01T00:00:00+23:59", "0" * 32, False]
    cursor = base64.urlsafe_b64encode(json.dumps(parts).encode()).decode().rstrip("=")
    assert len(listed(f"cursor={cursor}")["results"]) == 1


def test_a_cursor_belongs_to_its_order(
    submit: Callable[..., Job], listed: Answer, client: Client
) -> None:
    for _ in range(3):
        submit()
    following = listed("limit=1&ordering=created_at")["next"]
    assert listed(following)["results"] != []
    answer = client.get(following.replace("ordering=created_at", "ordering=-created_at"))
    assert (answer.status_code, list(answer.json()["fields"])) == (400, ["cursor"])


def test_a_list_is_capped_at_a_hundred(alice: User, listed: Answer) -> None:
    fill(alice, 120)
    page = listed("limit=100000")
    assert len(page["results"]) == 100
    assert page["next"] is not None
    assert len(listed()["results"]) == 20


@pytest.mark.parametrize("ordering", ORDERINGS)
def test_pages_have_no_gaps_or_repeats_in_any_order_and_lead_back_as_well(
    ordering: str, alice: User, listed: Answer
) -> None:
    """Half of them were made and ended in the same moment."""
    fill(alice, 22, alike=12)
    wanted = listed(f"ordering={ordering}&limit=100")["results"]
    assert len(wanted) == 23
    pages = [listed(f"ordering={ordering}&limit=5")]
    assert pages[0]["previous"] is None
    while pages[-1]["next"]:
        pages.append(listed(pages[-1]["next"]))
    assert [len(page["results"]) for page in pages] == [5, 5, 5, 5, 3]
    assert [job["id"] for page in pages for job in page["results"]] == [job["id"] for job in wanted]
    for before, after in pairwise(pages):
        back = listed(after["previous"])
        assert [job["id"] for job in back["results"]] == [job["id"] for job in before["results"]]
        assert (back["previous"] is None) == (before is pages[0])


def test_what_is_made_meanwhile_moves_nobodys_place(
    submit: Callable[..., Job], listed: Answer
) -> None:
    made = [str(submit().pk) for _ in range(4)]
    first = listed("limit=2")
    submit()
    actions.cancel(Job.objects.get(pk=made[3]).pk)
    second = listed(first["next"])
    assert [job["id"] for job in first["results"] + second["results"]] == made[::-1]


def test_a_list_costs_the_same_queries_however_long(
    several: dict[str, str],
    listed: Answer,
    django_assert_max_num_queries: Callable[[int], AbstractContextManager[Any]],
) -> None:
    for query in ("limit=1", "limit=100", "search=red&limit=100", "ordering=-finished_at"):
        with django_assert_max_num_queries(QUERIES):
            listed(query)


QUERIES = 9  # session, user, page, places, files, two of marks, and two of the forecast


@pytest.fixture
def many(alice: User, bob: User) -> datetime:
    """24,000 jobs of alice's, as many of bob's; a moment in the middle of hers.

    Were nearly all hers, to read everybody's in their order would cost the same.
    """
    fill(alice, 24_000)
    fill(bob, 24_000)
    return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=12_000)


def plan_of(jobs: QuerySet[Job]) -> dict[str, Any]:
    text = jobs.explain(format="json", analyze=True)
    plan: dict[str, Any] = json.loads(text)[0]["Plan"]
    return plan


def nodes(plan: dict[str, Any]) -> list[dict[str, Any]]:
    return [plan, *(deeper for part in plan.get("Plans", []) for deeper in nodes(part))]


def _large(node: dict[str, Any]) -> bool:
    return str(node.get("Relation Name", "jobs_")).startswith("jobs_")


COSTS = [  # a query, and the most rows that a page of 20 may read
    ("", 25),
    ("ordering=created_at", 25),
    ("ordering=-finished_at", 25),
    ("ordering=finished_at", 25),
    ("state=queued,running", 25),
    ("state=cancelled", 30),
    ("state=parked", 2_500),  # one in a hundred: it walks over those between
    ("created_before=2026-01-03T00:00:00Z", 25),
]


def test_a_page_is_read_from_an_index_wherever_it_lies(many: datetime, alice: User) -> None:
    """Of 24,000 jobs no page reads or sorts more than its own."""
    middle = Job.objects.filter(owner=alice, created_at=many).get()
    for query, most_rows in COSTS:
        given = QueryDict(query)
        ordering = str(given.get("ordering") or "-created_at")
        jobs = chosen(filters.listed(alice, given), given).to_show()
        for back in (None, False, True):
            place = Cursor(ordering=ordering, at=many, row=middle.pk, back=bool(back))
            cursor = None if back is None else place
            rows = select(jobs, Wanted(ordering=ordering, limit=20, cursor=cursor))
            # Whose they are and where: two tables of a few rows here, read whole by any planner.
            found = [node for node in nodes(plan_of(rows)) if _large(node)]
            assert "Seq Scan" not in {node["Node Type"] for node in found}
            read = max(
                node["Actual Rows"] * node["Actual Loops"]
                + node.get("Rows Removed by Filter", 0)
                + node.get("Rows Removed by Index Recheck", 0)
                for node in found
            )
            assert read <= most_rows, (query, back, found)


def test_a_search_reads_the_index_of_words(many: datetime, alice: User) -> None:
    with connection.cursor() as cursor:  # as autovacuum does
        cursor.execute("SELECT gin_clean_pending_list('jobs_prompt_words')")
    jobs = chosen(visible_jobs(alice).filter(owner=alice), QueryDict("search=00000001"))
    found = nodes(plan_of(jobs.order_by("-created_at", "-pk")[:21]))
    assert "jobs_prompt_words" in {node.get("Index Name") for node in found}
    assert "Seq Scan" not in {node["Node Type"] for node in found}
