"""The time zone in which somebody reads what the server writes."""

from collections.abc import Callable
from functools import cache
from zoneinfo import ZoneInfo, available_timezones

from django.http import HttpRequest, HttpResponseBase
from django.utils import timezone

from accounts.models import User

# Programs read UTC, and the console asks for times as it writes them.
NOT_PAGES = ("/api/", "/v1/", "/_allauth/", "/healthz/", "/admin/")


@cache
def names() -> tuple[str, ...]:
    """To choose from, some 490: places alone, for no browser knows "localtime"."""
    return ("UTC", *sorted(name for name in available_timezones() if _is_place(name)))


def _is_place(name: str) -> bool:
    area, _, place = name.partition("/")
    return bool(place) and area not in {
        "Etc",
        "SystemV",
        "US",
        "Brazil",
        "Canada",
        "Chile",
        "Mexico",
    }


def known(name: str) -> bool:
    return name in names()


class ViewersZone:
    """Pages are written in the zone that their viewer chose, else in UTC, which they say."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        with timezone.override(_zone_for(request)):
            return self._get_response(request)


def _zone_for(request: HttpRequest) -> ZoneInfo | None:
    """None: the site's own. A zone that this machine does not know (any more) counts as none."""
    if request.path.startswith(NOT_PAGES):
        return None
    user = request.user
    if not isinstance(user, User) or not known(user.time_zone):
        return None
    return ZoneInfo(user.time_zone)
