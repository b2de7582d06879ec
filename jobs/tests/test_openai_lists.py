"""Pages of videos."""

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.models import User
from jobs.models import Job
from jobs.openai_shapes import video_id
from jobs.tests.crowd import fill
from jobs.tests.customer import Customer

pytestmark = pytest.mark.django_db


def test_a_list_is_paged_by_last_id_both_ways_and_stays_whole_while_it_changes(
    customer: Customer,
) -> None:
    made = [customer.make().json()["id"] for _ in range(7)]

    def walk(order: str, at_page: Callable[[int], object]) -> list[str]:
        seen: list[str] = []
        query: dict[str, Any] = {"limit": 2, "order": order}
        for number in range(10):
            page = customer.ask("get", "/v1/videos", data=query).json()
            ids = [video["id"] for video in page["data"]]
            assert (page["object"], page["first_id"]) == ("list", ids[0] if ids else None)
            assert page["last_id"] == (ids[-1] if ids else None)
            seen += ids
            if not page["has_more"]:
                return seen
            query["after"] = page["last_id"]
            at_page(number)
        raise AssertionError("it never ends")

    assert walk("desc", lambda _: None) == made[::-1]
    assert walk("asc", lambda _: None) == made
    assert walk("desc", lambda _: customer.make()) == made[::-1]
    # The one that a page ended with goes away between two pages.
    gone = made[-2]

    def forget(number: int) -> None:
        if number == 0:
            newest = customer.ask("get", "/v1/videos", data={"limit": 2}).json()
            assert customer.ask("delete", f"/v1/videos/{newest['last_id']}").status_code == 200

    assert walk("desc", forget)[-7:] == made[::-1]
    assert gone in made


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ({"limit": "0"}, "limit"),
        ({"limit": "101"}, "limit"),
        ({"limit": "x"}, "limit"),
        ({"limit": "9" * 5000}, "limit"),
        ({"order": "up"}, "order"),
        ({"after": "video_1"}, "after"),
        ({"after": f"video_{uuid4().hex}"}, "after"),
    ],
)
def test_a_bad_page_is_a_400_that_names_the_parameter(
    query: dict[str, str], param: str, customer: Customer
) -> None:
    answer = customer.ask("get", "/v1/videos", data=query)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)


def test_a_list_costs_the_same_queries_however_long(
    customer: Customer, django_assert_max_num_queries: Callable[[int], Any]
) -> None:
    for _ in range(15):
        customer.make()
    with django_assert_max_num_queries(6):
        page = customer.ask("get", "/v1/videos", data={"limit": 100}).json()
    assert len(page["data"]) == 15


def test_a_page_is_read_from_the_owners_index_wherever_it_lies(
    customer: Customer, alice: User, bob: User
) -> None:
    """Of 12,000 videos no page reads or sorts more than its own.

    Most videos are somebody else's: were nearly all her own, to read everybody's in their order
    would cost the same, and Postgres may choose it.
    """
    fill(alice, 12_000)
    fill(bob, 24_000)
    middle = Job.objects.filter(owner=alice).order_by("created_at")[6_000]
    for query in ({}, {"after": video_id(middle.pk)}):
        for order in ("asc", "desc"):
            with CaptureQueriesContext(connection) as asked:
                page = customer.ask("get", "/v1/videos", data={"order": order, **query}).json()
            assert len(page["data"]) == 20
            (sql,) = [each["sql"] for each in asked if "LIMIT 21" in each["sql"]]
            with connection.cursor() as cursor:
                cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {sql}")
                found = nodes(cursor.fetchone()[0][0]["Plan"])
            assert "Seq Scan" not in {node["Node Type"] for node in found}
            assert max(_read(node) for node in found) <= 25, (query, order, found)


def nodes(plan: dict[str, Any]) -> list[dict[str, Any]]:
    return [plan, *(deeper for part in plan.get("Plans", []) for deeper in nodes(part))]


def _read(node: dict[str, Any]) -> float:
    dropped = node.get("Rows Removed by Filter", 0) + node.get("Rows Removed by Index Recheck", 0)
    return float(node["Actual Rows"] * node["Actual Loops"] + dropped)
