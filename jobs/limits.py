"""Admission: how often one may ask, how much one may have waiting, and when a queue is too long.

docs/reference/limits.md. Rates lie in Redis and are a courtesy: without Redis nobody is counted.
Quotas lie in Postgres and hold whatever happens.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from django.conf import settings
from django.db import transaction
from django.utils import timezone
from limits import RateLimitItem
from rest_framework.permissions import SAFE_METHODS
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from accounts.models import ApiToken, User
from jobs import estimates, forecast, holdings, load, places, promises, queue, rates
from jobs.errors import QueueFull, RateLimited, Refusal
from jobs.holdings import Holdings
from jobs.metrics import instruments
from jobs.promises import Reply
from jobs.quotas import UNKNOWN_SECONDS, Asked, Holder, QuotaSet, Use, refusal
from jobs.rates import Answer, Window
from jobs.spec import RenderSpec

if TYPE_CHECKING:
    from rest_framework.views import APIView  # which loads this module by the settings

SWEEP_SECONDS = 5.0  # a look at a pool may be so much later than it is due


@dataclass(frozen=True, slots=True, kw_only=True)
class Admitted:
    """One job that may be submitted, and what is to be written into its row."""

    over_quota: bool
    reserved_seconds: float


def admit(
    owner: User, specs: Sequence[RenderSpec | None], *, workspace: int, limited: bool = True
) -> list[Admitted]:
    """Whether the owner may submit these jobs now, in their order; None is one nobody can read.

    Inside submit's transaction: the lock on the workspace's row lets one submit at a time into it.
    Who only refers to the row (a job that ends, a new member) need not wait for it. limited: False
    for what an operator repairs, which is refused by nothing. Raises NoWorkspace when that is gone,
    QueueFull, TooManyJobs, GpuSecondsUsedUp and StorageFull.
    """
    try:
        admitted = _admitted(owner, specs, workspace=workspace, limited=limited)
    except Refusal as refused:
        instruments.refused(refused.code)
        raise
    transaction.on_commit(partial(instruments.admitted, len(specs)))
    return admitted


def _admitted(
    owner: User, specs: Sequence[RenderSpec | None], *, workspace: int, limited: bool
) -> list[Admitted]:
    ours, mine, unfinished = holdings.lock(owner, workspace)
    counted = holdings.count(owner, workspace, ours, mine)
    seconds = [0.0] * len(specs)
    if ours.gpu_seconds or mine.gpu_seconds:
        look = estimates.look_at(settings.T2V_POOL)
        seconds = [_expected(spec, look) for spec in specs]
    if limited:
        asked = Asked(count=len(specs), gpu_seconds=sum(seconds))
        _refuse(asked, Holder.WORKSPACE, ours, counted.whole)
        _refuse(asked, Holder.PERSON, mine, replace(counted.own, queued=unfinished))
        # Behind the lock: who waited for it must see the jobs of those before. And behind the
        # quotas: nothing is promised to somebody whom they would refuse then.
        _refuse_a_long_wait(owner, specs)
    free = _free(ours, mine, counted)
    if free is not None and counted.held:
        # Whoever waits comes first, also for a place that was given back a moment ago.
        if free:
            places.settle_after_commit(workspace)
        free = 0
    return [
        Admitted(over_quota=free is not None and number >= free, reserved_seconds=reserved)
        for number, reserved in enumerate(seconds)
    ]


def _refuse(asked: Asked, holder: Holder, quotas: QuotaSet, use: Use) -> None:
    hours = settings.T2V_DELETED_HOURS
    refused = refusal(asked, quotas, use, holder=holder, now=timezone.now(), deleted_hours=hours)
    if refused is not None:
        raise refused


def _free(ours: QuotaSet, mine: QuotaSet, counted: Holdings) -> int | None:
    """Places that are left for this person; None: as many as there are jobs."""
    limits = ((ours.running, counted.placed), (mine.running, counted.own_placed))
    left = [most - taken for most, taken in limits if most]
    return max(0, min(left)) if left else None


def _expected(spec: RenderSpec | None, look: estimates.Look | None) -> float:
    """Seconds of rendering."""
    if spec is None or look is None:
        return UNKNOWN_SECONDS
    return look.estimate(spec, wait=None).render_seconds or UNKNOWN_SECONDS


def _refuse_a_long_wait(owner: User, specs: Sequence[RenderSpec | None]) -> None:
    """Raises QueueFull. What nobody knows refuses nobody, nor does a pool without a worker: there a
    job waits for one."""
    longest = settings.T2V_MAX_WAIT_SECONDS
    if not longest:
        return
    look = estimates.look_at(settings.T2V_POOL)
    wait = None if look is None else _wait_now(look, specs)
    # A short queue asks nobody: what is promised could not make it too long.
    if look is None or wait is None or wait <= longest * promises.FREE_SHARE:
        return
    # Who comes again is judged by a look that is as old as looks get.
    late = load.rest_seconds(look.took_seconds) + SWEEP_SECONDS
    told = _ask_for_room(owner, specs, look=look, wait=wait, late=late)
    if told is None:  # no ledger: as if nobody else came
        seconds = forecast.retry_after(wait, limit=longest, margin=late)
        told = Reply(granted=wait <= longest, wait=wait, retry_after=seconds)
    if not told.granted:
        raise QueueFull(wait=told.wait, longest=longest, retry_after=told.retry_after)


def _ask_for_room(
    owner: User,
    specs: Sequence[RenderSpec | None],
    *,
    look: estimates.Look,
    wait: float,
    late: float,
) -> Reply | None:
    """None: nobody knows what is promised, or what this will take."""
    known = [spec for spec in specs if spec is not None]
    seconds = [look.estimate(spec, wait=None).render_seconds for spec in known]
    if not known or None in seconds or look.workers < 1:
        return None
    asked = promises.wish(owner.pk, known, gpu_seconds=sum(each or 0.0 for each in seconds))
    queue_now = promises.Queue(
        pool=look.pool,
        now=look.now.timestamp(),
        wait=wait,
        longest=settings.T2V_MAX_WAIT_SECONDS,
        workers=look.workers,
        margin=late,
    )
    return promises.ask(asked, queue_now)


def _wait_now(look: estimates.Look, specs: Sequence[RenderSpec | None]) -> float | None:
    """Behind all that wait at this moment. By the look alone, a burst of forty within its 5 s was
    accepted whole, and waited 58 s where 10 were allowed (make load)."""
    depth = queue.depth(look.pool)
    if depth >= estimates.FAR:
        depth = max(depth, look.queued)
    known = [spec for spec in specs if spec is not None]
    each = look.estimate(known[0], wait=None).render_seconds if known else None
    wait, first = look.wait(ahead=depth, each=each), look.wait(ahead=0)
    if wait is None or first is None:
        return None
    return wait - min(look.age_seconds, first)  # what renders has gone on since


def check_rate(request: Request) -> dict[str, str]:
    """Counts the request; the headers that tell its caller how much is left.

    Raises RateLimited. An empty dict, and nobody refused, where Redis is away or nobody signed in.
    """
    windows = _windows(request)
    answer = rates.take(windows) if windows else None
    if answer is None:
        return {}
    if not answer.granted:
        raise RateLimited(retry_after=answer.retry_after, headers=_headers(answer))
    return _headers(answer)


def _windows(request: Request) -> list[Window]:
    """Its token's, where it has one, and its person's."""
    if not isinstance(request.user, User):
        return []
    reads = request.method in SAFE_METHODS
    kind = "reads" if reads else "writes"
    rate = settings.T2V_RATE_READS if reads else settings.T2V_RATE_WRITES
    person = Window(
        name=f"person-{kind}",
        caller=str(request.user.pk),
        rate=_times(rate, settings.T2V_RATE_PERSON),
    )
    if not isinstance(request.auth, ApiToken):
        return [person]
    token = str(request.auth.pk)[:32]  # of its digest
    return [Window(name=f"token-{kind}", caller=token, rate=rate), person]


def _times(rate: RateLimitItem, factor: int) -> RateLimitItem:
    return type(rate)(rate.amount * factor, rate.multiples)


def _headers(answer: Answer) -> dict[str, str]:
    """Source: draft-ietf-httpapi-ratelimit-headers-10."""
    return {
        "RateLimit-Policy": ", ".join(
            f'"{each.name}";q={each.quota};w={each.window_seconds}' for each in answer.standings
        ),
        "RateLimit": ", ".join(
            f'"{each.name}";r={each.left};t={each.reset_seconds}' for each in answer.standings
        ),
    }


class Rates(BaseThrottle):
    """check_rate before every view of the API, /api/v1 and /v1 alike."""

    def allow_request(self, request: Request, view: "APIView") -> bool:
        """True, with the headers on the answer. Raises RateLimited, with the headers on it too."""
        try:
            view.headers.update(check_rate(request))
        except RateLimited as refused:
            if request.method not in SAFE_METHODS:
                instruments.refused(refused.code)
            view.headers.update(refused.headers)
            raise
        return True
