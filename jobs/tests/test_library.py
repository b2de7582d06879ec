"""The library's pages: what they show, to whom, and that they cost the same whatever there is."""

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from html import unescape
from uuid import uuid4

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from accounts.models import Membership, User
from accounts.roles import Role
from conftest import video_of
from jobs import actions
from jobs.actions import Claim
from jobs.models import Job
from jobs.pages.compare import differences
from jobs.tag_name import TagName
from jobs.tests.crowd import fill

pytestmark = pytest.mark.django_db
QUERIES = 16  # of a page: who asks, where, the clips, their files and marks, tags, a total


@pytest.fixture
def page(alice: User, client: Client) -> Callable[..., str]:
    """The HTML at an address below /library, as alice sees it."""
    client.force_login(alice)

    def _page(address: str = "", *, by: User = alice) -> str:
        client.force_login(by)
        answer = client.get(f"/library{address}")
        assert answer.status_code == 200
        return unescape(answer.content.decode())

    return _page


@pytest.fixture
def made(submit: Callable[..., Job], claim: Callable[..., Claim]) -> Callable[..., Job]:
    """A clip of alice's that is ready."""

    def _made(prompt: str, **wanted: object) -> Job:
        job = submit(prompt, **wanted)
        held = claim()
        actions.succeed(held, [video_of(held)])
        return job

    return _made


def _ids(html: str) -> list[str]:
    return re.findall(r'data-clip data-id="([0-9a-f-]+)"', html)


def _chips(html: str) -> dict[str, str]:
    """Address by words."""
    found = re.findall(
        r'data-chip href="([^"]*)"><span><span class="visually-hidden">Take away: </span>([^<]*)<',
        html,
    )
    return {words: address for address, words in found}


def test_pages_follow_each_other_and_show_every_clip_once(
    alice: User, page: Callable[..., str]
) -> None:
    fill(alice, 120, clips=True)
    seen, address = [], ""
    while True:
        html = page(address)
        seen += _ids(html)
        found = re.search(r'rel="next" href="([^"]+)"', html)
        if found is None:
            break
        address = found[1]
    wanted = Job.objects.filter(state="succeeded").newest_first().values_list("pk", flat=True)
    assert seen == [str(job) for job in wanted]
    assert len(seen) > 48


def test_a_page_costs_the_same_queries_however_many_clips_it_shows(
    alice: User, client: Client, made: Callable[..., Job]
) -> None:
    client.force_login(alice)
    for address in ("/library", "/library?q=red&favourite=1&tag=sea", "/library/cards?model=nano"):
        counts = []
        for _ in range(2):
            for prompt in ("a red circle", "a red star"):
                job = made(prompt)
                actions.favourite(alice, [job.pk])
                actions.tag(alice, [job.pk], TagName.read("sea"))
            with CaptureQueriesContext(connection) as queries:
                assert len(_ids(client.get(address).content.decode())) >= 2
            counts.append(len(queries))
        assert counts[0] == counts[1] <= QUERIES, address


def test_a_card_says_what_its_clip_is_and_how_its_sprite_is_laid_out(
    alice: User, page: Callable[..., str], submit: Callable[..., Job], claim: Callable[..., Claim]
) -> None:
    job = submit("a red circle")
    held = claim()
    facts = {"columns": 2, "rows": 1, "tile_width": 64, "tile_height": 48, "frames": [0, 24]}
    names = {"video.mp4": {}, "sprite.jpg": facts | {"seconds": 2.083}, "poster.png": {}}
    key = f"jobs/{held.job}/{held.attempt}"
    stored = video_of(held)
    actions.succeed(
        held,
        [
            replace(stored, name=name, key=f"{key}/{name}", facts=each)
            for name, each in names.items()
        ],
    )
    actions.favourite(alice, [job.pk])
    for tag in ("sea", "sky", "sun"):
        actions.tag(alice, [job.pk], TagName.read(tag))
    html = page()
    assert f'src="/jobs/{job.pk}/1/poster.png"' in html
    assert f'data-sprite="/jobs/{job.pk}/1/sprite.jpg" data-columns="2" data-tiles="2"' in html
    assert 'data-tile-width="64" data-tile-height="48" data-seconds="2.083"' in html
    assert 'aria-pressed="true" aria-label="Favourite"' in html
    assert '<span class="clip-tag">sky</span><span class="clip-tag" title="sun">+1</span>' in html


def test_every_filter_is_a_chip_that_leads_to_the_page_without_it(
    page: Callable[..., str], made: Callable[..., Job]
) -> None:
    made("a red circle")
    chips = _chips(
        page("?q=red&tag=sea&tag=sky&favourite=1&state=all&created_after=2026-01-01&at=")
    )
    assert chips == {
        "“red”": "/library?tag=sea&tag=sky&favourite=1&state=all&created_after=2026-01-01",
        "Favourites": "/library?q=red&tag=sea&tag=sky&state=all&created_after=2026-01-01",
        "Tag: sea": "/library?q=red&tag=sky&favourite=1&state=all&created_after=2026-01-01",
        "Tag: sky": "/library?q=red&tag=sea&favourite=1&state=all&created_after=2026-01-01",
        "Everything": "/library?q=red&tag=sea&tag=sky&favourite=1&created_after=2026-01-01",
        "From 2026-01-01": "/library?q=red&tag=sea&tag=sky&favourite=1&state=all",
    }
    assert _chips(page("?q=red")) == {"“red”": "/library"}
    assert _chips(page("?state=nonsense&state=all&q=")) == {"Everything": "/library?q="}
    assert _chips(page()) == {}


def test_a_last_day_is_left_out_and_its_field_says_so(
    page: Callable[..., str], made: Callable[..., Job]
) -> None:
    clip = made("a red circle")
    first = clip.created_at.date()
    assert _ids(page(f"?created_before={first + timedelta(days=2)}")) == [str(clip.pk)]
    html = page(f"?created_before={first}")
    assert _ids(html) == []
    (words,) = re.findall(r'name="created_before"[^>]* aria-describedby="([^"]+)"', html)
    assert f'<p id="{words}" class="hint">Without that day.</p>' in html


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("?q=purple", "No clip is about “purple”"),
        ("?favourite=1", "No favourites yet"),
        ("?q=purple&tag=sea", "No clip fits all of these"),
        ("?tag=sea", "No clip fits all of these"),
        ("?state=undone", "Nothing here"),
    ],
)
def test_where_filters_hide_everything_the_page_says_how_to_go_on(
    address: str, words: str, page: Callable[..., str], made: Callable[..., Job]
) -> None:
    made("a red circle")
    assert words in page(address)
    assert words not in page()
    assert _ids(page(address)) == []


def test_an_empty_library_leads_to_the_studio_whoever_may_make_clips(
    page: Callable[..., str], bob: User, join: Callable[[User, Role], None]
) -> None:
    assert "No clips yet" in page()
    assert "Make your first clip" in page()
    assert 'name="mine"' not in page()  # all of them are
    join(bob, Role.VIEWER)
    assert 'name="mine"' in page()
    assert "No clips yet" in page(by=bob)
    assert "Make your first clip" not in page(by=bob)


def test_whoever_is_in_no_workspace_any_more_is_led_to_where_it_is_said(
    client: Client, alice: User
) -> None:
    client.force_login(alice)
    Membership.objects.filter(user=alice).delete()
    for address in ("/library", "/library/cards"):
        assert client.get(address)["Location"] == "/settings/workspaces"


def test_an_address_with_a_filter_that_there_is_not_shows_all_and_says_so(
    page: Callable[..., str], made: Callable[..., Job]
) -> None:
    made("a red circle")
    html = page("?state=lost&q=purple")
    assert "names a filter that there is not" in html
    assert len(_ids(html)) == 1


def test_a_part_with_a_cursor_is_the_cards_alone(
    alice: User, page: Callable[..., str], made: Callable[..., Job]
) -> None:
    jobs = [made(f"a red circle {number}") for number in range(3)]
    first = page("/cards?limit=2")
    assert "3 clips" in first
    found = re.search(r'data-next="(cursor=[^"]+)"', first)
    assert found is not None
    rest = page(f"/cards?limit=2&{found[1]}")
    assert _ids(first) + _ids(rest) == [str(job.pk) for job in reversed(jobs)]
    assert "clips<" not in rest
    assert "csrfmiddlewaretoken" not in rest


def test_the_address_of_a_clip_begins_the_page_with_it(
    page: Callable[..., str], made: Callable[..., Job]
) -> None:
    oldest, middle, newest = (made(f"a red circle {number}") for number in range(3))
    html = page(f"?at={middle.pk}")
    assert _ids(html) == [str(middle.pk), str(oldest.pk)]
    assert 'rel="prev"' in html
    assert str(newest.pk) not in html


def test_a_stranger_compares_and_sees_nothing_of_ours(
    alice: User, charlie: User, client: Client, made: Callable[..., Job], page: Callable[..., str]
) -> None:
    one, other = made("a red circle", seed=1), made("a blue circle", seed=1)
    address = f"/compare?a={one.pk}&b={other.pk}"
    html = page(address)
    assert html.count("<video") == 2
    assert "<mark>red</mark>" in html
    assert _ids(page(by=charlie)) == []
    client.force_login(charlie)
    assert client.get(f"/library{address}").status_code == 404
    client.force_login(alice)
    for wrong in (uuid4(), "nonsense"):
        assert client.get(f"/library/compare?a={one.pk}&b={wrong}").status_code == 404
    assert client.get(f"/library/compare?a={one.pk}")["Location"] == "/library"


def test_differences_are_marked_word_by_word() -> None:
    one = [("Prompt", "a red circle moving right"), ("Steps", "8"), ("Seed", "1")]
    other = [("Prompt", "a blue circle moving"), ("Steps", "8"), ("Model", "nano")]
    rows = {row["label"]: row for row in differences(one, other)}
    assert list(rows) == ["Prompt", "Steps", "Seed", "Model"]
    assert rows["Prompt"]["a"] == [
        ("a", False),
        ("red", True),
        ("circle moving", False),
        ("right", True),
    ]
    assert rows["Prompt"]["b"] == [("a", False), ("blue", True), ("circle moving", False)]
    assert [row["same"] for row in rows.values()] == [False, True, False, False]
    assert (rows["Model"]["a"], rows["Model"]["b"]) == ([], [("nano", True)])
