"""What every template may use without {% load %}: icons, moments, and what a message carries."""

from datetime import UTC, datetime

from django import template
from django.contrib.messages.storage.base import Message
from django.templatetags.static import static
from django.utils.html import format_html
from django.utils.safestring import SafeString

register = template.Library()

UNDO = "undo:"  # before the address, in a message's extra tags (jobs/pages/answers.py)


@register.simple_tag
def icon(name: str, kind: str = "") -> SafeString:
    """One of static/img/icons.svg, for the eye alone: its button or link has a name of its own."""
    return format_html(
        '<svg class="icon{}" aria-hidden="true"><use href="{}#{}"></use></svg>',
        f" {kind}" if kind else "",
        static("img/icons.svg"),
        name,
    )


@register.simple_tag
def moment(at: datetime | str | None, shown: str = "age") -> SafeString:
    """A <time> that static/js/times.js fills in the viewer's zone; without scripts it says UTC.

    at: a datetime, or ISO 8601 as snapshots have it; nothing for None. shown: age ("3 min ago"),
    clock (the time of day), day, when (day and time) or full (to the second).
    """
    if not at:
        return SafeString("")
    when = datetime.fromisoformat(at) if isinstance(at, str) else at
    utc = when.astimezone(UTC)
    return format_html(
        '<time data-{} datetime="{}"><noscript>{}</noscript></time>',
        shown,
        utc.isoformat().replace("+00:00", "Z"),
        f"{utc:%d %b %Y} UTC" if shown == "day" else f"{utc:%d %b %Y, %H:%M} UTC",
    )


@register.filter
def undo(message: Message) -> str:
    """Where a POST takes back what the message tells of; empty when nothing does."""
    tags = message.extra_tags or ""
    return tags.removeprefix(UNDO) if tags.startswith(UNDO) else ""
