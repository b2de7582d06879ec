"""The process with Django of benchmarks/library.py: fills, asks, prints its table."""

import os
import platform
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import cycle, islice

import django

django.setup()

from django.db import connection, transaction  # noqa: E402
from django.http import QueryDict  # noqa: E402

from accounts import workspaces  # noqa: E402
from accounts.models import User  # noqa: E402
from jobs import actions  # noqa: E402
from jobs.access import listed_jobs  # noqa: E402
from jobs.clip_filters import USUAL, Filters  # noqa: E402
from jobs.cursors import Cursor, Page, Wanted, turn_to  # noqa: E402
from jobs.marks import marks_of, tags_of  # noqa: E402
from jobs.models import Job, Tag  # noqa: E402
from jobs.shelf import clips  # noqa: E402
from jobs.tag_name import TagName  # noqa: E402
from jobs.tests.crowd import fill  # noqa: E402

ROUNDS = 40
QUERIES = {  # what is asked, and of how many clips it is true
    "": "all",
    "mine=1": "all",
    "ordering=created_at": "all",
    "favourite=1": "1 in 100",
    "tag=common": "all",
    "tag=rare": "50",
    "tag=common&tag=rare": "50",
    "tag=common&favourite=1": "1 in 100",
    "q=circle": "all",
    "q=0000": "1 or so",
    "q=nowhere": "none",
    "q=circle&tag=common": "all",
    "model=nano": "all",
    "model=sora": "none",
    "state=all": "all, and 1,001 that ended otherwise",
    "state=undone": "1,001",
    "state=unfinished": "none",
}
_MARKED = "INSERT INTO {} (job_id, job_created_at, {}) SELECT id, created_at, {} FROM jobs_job"

_FIFTY = "SELECT ctid FROM jobs_job WHERE state = 'succeeded' AND owner_id = 1 ORDER BY id LIMIT 50"


def begin(count: int) -> tuple[User, int]:
    people = [User.objects.create_user(f"{name}@example.com") for name in ("alice", "bob")]
    for person in people:
        with transaction.atomic():
            fill(person, count, clips=True)
    alice, where = people[0], workspaces.current_id(people[0])
    with connection.cursor() as cursor:
        for name, some in (("common", "true"), ("rare", f"ctid IN ({_FIFTY})")):
            tag = Tag.objects.create(workspace_id=where, name=name, key=name)
            cursor.execute(
                _MARKED.format("jobs_jobtag", "tag_id", str(tag.pk))
                + f" WHERE owner_id = %s AND {some}",
                [alice.pk],
            )
        cursor.execute(
            _MARKED.format("jobs_favourite", "user_id, workspace_id", "owner_id, workspace_id")
            + " WHERE owner_id = %s AND state = 'succeeded' AND hashtext(id::text) %% 100 = 0",
            [alice.pk],
        )
        cursor.execute("VACUUM ANALYZE")
    return alice, where


def in_turns(one: Callable[[], object], other: Callable[[], object]) -> tuple[float, float]:
    """The medians of both, in milliseconds, asked A B B A …"""
    took: dict[int, list[float]] = {0: [], 1: []}
    for arm in islice(cycle((0, 1, 1, 0)), 2 * ROUNDS):
        began = time.perf_counter()
        (one, other)[arm]()
        took[arm].append(1000 * (time.perf_counter() - began))
    return statistics.median(took[0]), statistics.median(took[1])


def main(count: int) -> None:
    alice, where = begin(count)
    middle = listed_jobs(alice, where).newest_first()[count // 2 : count // 2 + 1].get()
    parts = f"{platform.machine()}, {os.cpu_count()} cores, Django {django.__version__}"
    print(f"{count:,} clips, and as many of somebody else's; {parts}")
    print(f"medians of {ROUNDS}, in ms; x: times the plain list beside it\n")
    print(
        f"{'asked':26} {'true of':36} {'newest':>7} {'x':>5} {'middle':>7} {'x':>5} {'counted':>7}"
    )
    for query, held in QUERIES.items():
        filters = Filters.read(QueryDict(query))
        ordering = filters.ordering
        place = Cursor(ordering=ordering, at=middle.created_at, row=middle.pk)
        cells = []
        for cursor in (None, place):
            wanted = Wanted(ordering=ordering, limit=USUAL, cursor=cursor)
            asked, beside = in_turns(
                partial(clips, alice, where, replace(filters, cursor=cursor)),
                partial(plain_list, alice, where, wanted),
            )
            cells.append(f"{asked:7.1f} {asked / beside:5.1f}")
        counted, _ = in_turns(partial(clips, alice, where, filters, counted=True), int)
        print(f"{query or '(nothing)':26} {held:36} {' '.join(cells)} {counted:7.1f}", flush=True)
    the_rest(alice, where)


def plain_list(user: User, where: int, wanted: Wanted) -> Page[Job]:
    return turn_to(listed_jobs(user, where).to_show(), wanted)


def the_rest(alice: User, where: int) -> None:
    page = clips(alice, where, Filters()).jobs
    several = list(
        Job.objects.filter(owner=alice, state="succeeded").values_list("pk", flat=True)[:200]
    )
    name = TagName.read("two hundred")
    print("\nthe rest")
    for words, act, back in (
        ("marks of a page", lambda: marks_of(alice, page), lambda: None),
        ("tags of the workspace", lambda: tags_of(where), lambda: None),
        (
            "200 favourites, and none again",
            lambda: actions.favourite(alice, several),
            lambda: actions.unfavourite(alice, several),
        ),
        (
            "200 tagged, and untagged",
            lambda: actions.tag(alice, several, name),
            lambda: actions.untag(alice, several, name),
        ),
        (
            "200 deleted, and restored",
            lambda: actions.delete_several(alice, several),
            lambda: actions.restore_several(alice, several),
        ),
    ):
        times = []
        for _ in range(5):
            began = time.perf_counter()
            act()
            times.append(1000 * (time.perf_counter() - began))
            back()
        print(f"{words:63} {statistics.median(times):7.1f}")


if __name__ == "__main__":
    main(int(sys.argv[1]))
