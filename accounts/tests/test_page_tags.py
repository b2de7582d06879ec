from datetime import UTC, datetime, timedelta, timezone

from django.template import Context, Template


def rendered(words: str, **context: object) -> str:
    return Template(words).render(Context(context))


def test_a_moment_is_told_in_utc_where_no_script_runs() -> None:
    at = datetime(2026, 11, 26, 7, 55, tzinfo=UTC)
    told = (
        '<time data-age datetime="2026-11-26T07:55:00Z">'
        "<noscript>26 Nov 2026, 07:55 UTC</noscript></time>"
    )
    assert rendered("{% moment at %}", at=at) == told
    assert rendered("{% moment at %}", at=at.astimezone(timezone(timedelta(hours=5)))) == told
    assert rendered("{% moment at %}", at="2026-11-26T07:55:00Z") == told  # as snapshots have it
    assert "<time data-day" in rendered("{% moment at 'day' %}", at=at)
    assert rendered("{% moment at %}", at=None) == ""


def test_an_icon_has_no_name_for_who_hears_the_page() -> None:
    shown = rendered('{% icon "star" "small" %}')
    assert shown.startswith('<svg class="icon small" aria-hidden="true">')
    assert "img/icons.svg#star" in shown
