"""Settings → Usage and quotas: what is used of what may be, and when it renews."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from accounts import workspaces
from accounts.errors import NoSuchWorkspace, NoWorkspace
from accounts.models import User
from accounts.roles import Permission
from jobs import usage
from jobs.access import may
from jobs.quotas import GB
from jobs.usage import Month, Share


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One thing that is used: a bar where there is a limit, else its words alone."""

    title: str
    words: str
    notes: tuple[str, ...] = ()
    value: float = 0.0
    reserved: float = 0.0
    most: float = 0.0  # 0: no limit

    @property
    def full(self) -> bool:
        return bool(self.most) and self.value + self.reserved >= self.most

    @property
    def used_percent(self) -> str:
        return _percent(self.value, self.most)

    @property
    def taken_percent(self) -> str:
        """With what is reserved."""
        return _percent(self.value + self.reserved, self.most)


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A month of the chart."""

    of: Month
    percent: str  # of the tallest
    mine_percent: str


@login_required
@never_cache
@require_safe
def usage_page(request: HttpRequest) -> HttpResponse:
    """Of the workspace that ?workspace= names, else of the one that they work in."""
    user, slug = cast(User, request.user), request.GET.get("workspace", "")
    try:
        workspace = workspaces.opened(user, slug) if slug else workspaces.current(user)
    except NoSuchWorkspace as refusal:
        raise Http404(str(refusal)) from refusal
    except NoWorkspace as refusal:
        return render(request, "settings/usage.html", {"refusal": refusal}, status=refusal.status)
    now = timezone.now()
    shared = usage.in_workspace(workspace, now=now)
    manages = may(user, Permission.MANAGE_MEMBERS, workspace=workspace.pk)
    context = {
        "shown": workspace,
        "renews_at": shared.renews_at,
        "days_left": (shared.renews_at - now).days + 1,
        "parts": [
            (f"The workspace {workspace.name}", list(bars(shared.whole))),
            ("You in it", list(bars(shared.of(user)))),
        ],
        "months": columns(usage.months(workspace, user, now=now)),
        "people": [
            (each, [bar.words for bar in bars(each.share)])
            for each in (shared.members if manages else ())
        ],
    }
    return render(request, "settings/usage.html", context)


def bars(share: Share) -> Iterator[Bar]:
    quotas = share.quotas
    yield Bar(
        title="Rendering now",
        words=_of(share.running, quotas.running),
        notes=(f"{share.held:,} more wait until one of them ends.",) if share.held else (),
        value=share.running,
        most=quotas.running,
    )
    yield Bar(
        title="Unfinished jobs",
        words=_of(share.unfinished, quotas.queued),
        value=share.unfinished,
        most=quotas.queued,
    )
    left, notes = share.seconds_left, list[str]()
    if share.reserved_seconds:
        notes.append(f"{share.reserved_seconds:,.0f} s are reserved for unfinished jobs.")
    if left is not None:
        notes.append(f"{left:,.0f} s are left.")
    yield Bar(
        title="GPU seconds this month",
        words=_of(round(share.spent_seconds), quotas.gpu_seconds),
        notes=tuple(notes),
        value=share.spent_seconds,
        reserved=share.reserved_seconds,
        most=quotas.gpu_seconds,
    )
    stored, most = _size(share.stored_bytes), quotas.stored_bytes
    yield Bar(
        title="Storage",
        words=f"{stored} of {_size(most)}" if most else stored,
        notes=(f"{_size(max(0, most - share.stored_bytes))} are left.",) if most else (),
        value=share.stored_bytes,
        most=most,
    )


def columns(months: list[Month]) -> list[Column]:
    """Empty where nothing was used in any of them."""
    tallest = max(month.whole for month in months)
    return [
        Column(
            of=month,
            percent=_percent(month.whole, tallest),
            mine_percent=_percent(month.mine, tallest),
        )
        for month in (months if tallest else ())
    ]


def _percent(part: float, whole: float) -> str:
    """For a drawing, so with a point in any language."""
    return f"{min(100.0, 100 * part / whole) if whole else 0.0:.1f}"


def _size(count: int) -> str:
    """In decimal units, as quotas are set."""
    for size, unit in ((GB, "GB"), (10**6, "MB"), (1000, "kB")):
        if count >= size:
            return (
                f"{count / size:,.3g} {unit}"
                if count < 1000 * size
                else f"{count / size:,.0f} {unit}"
            )
    return f"{count} B"


def _of(count: int, most: int) -> str:
    return f"{count:,} of {most:,}" if most else f"{count:,}"
