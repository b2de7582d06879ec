"""Light or dark, as whoever looks chose: in a cookie, so that a page comes in it and never flashes.

static/js/theme.js writes it; without one, or with nonsense in it, the system decides.
"""

from django.http import HttpRequest

COOKIE = "theme"
AUTO = "auto"
CHOICES = (AUTO, "light", "dark")


def of(request: HttpRequest) -> str:
    chosen = request.COOKIES.get(COOKIE, AUTO)
    return chosen if chosen in CHOICES else AUTO


def theme(request: HttpRequest) -> dict[str, str]:
    """theme: for <html data-theme>, on every page."""
    return {"theme": of(request)}
