"""Why a queued job waits, and how long it may be, in words for whoever waits for it."""

from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any

from django.utils import timezone

from jobs import estimates
from jobs.estimates import Look
from jobs.expected import FAR, about, before
from jobs.lifecycle import State
from jobs.models import Attempt, Job

NEXT = "It starts as soon as a worker is free."
NOBODY = "No worker is up now. It starts as soon as one is."
MOST = timedelta(days=7)  # a longer wait is nobody's to foretell


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    title: str  # as "3 before you, about 40 s"
    why: str  # a sentence
    expires_at: str | None  # ISO 8601; when it ends by itself if nobody has begun it

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def outlook_of(job: Job, *, place: int | None, held: str | None) -> Outlook | None:
    """None of a job that does not wait. place and held: those of its snapshot. One query or two."""
    if job.state != State.QUEUED:
        return None
    setback = _setback(job) if job.run_at > timezone.now() and not held else None
    look = None if held or setback else estimates.look_at(job.pool)
    expires = None if job.attempt or job.deadline is None else job.deadline
    title, why = _words(place, held=held, look=look, setback=setback)
    return Outlook(
        title=title, why=why, expires_at=None if expires is None else expires.isoformat()
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Setback:
    seconds: int  # until it is tried again
    message: str  # how its last attempt ended; empty when nothing says so


def _setback(job: Job) -> Setback:
    last = (
        Attempt.objects.filter(job=job).order_by("-number").values_list("error_message", flat=True)
    )
    left = job.run_at - timezone.now()
    return Setback(seconds=max(1, int(left.total_seconds())), message=last.first() or "")


def _words(
    place: int | None, *, held: str | None, look: Look | None, setback: Setback | None
) -> tuple[str, str]:
    if held:
        return "Waits for others to end", held
    if setback is not None:
        return _delay_words(setback)
    if place is None:
        return "Waiting", NEXT
    when = _when(place, look)
    title = f"{before(place)}, {when}" if when else before(place)
    return title, NOBODY if _idle(look) else NEXT


def _delay_words(setback: Setback) -> tuple[str, str]:
    when = about(setback.seconds)
    if setback.message:
        return f"Tries again in {when}", f"Its last attempt ended: {setback.message}"
    return f"Starts in {when}", "It is not to start before that."


def _idle(look: Look | None) -> bool:
    return look is not None and not look.workers


def _when(place: int, look: Look | None) -> str:
    """Empty where nothing can be said."""
    if look is None or _idle(look):
        return ""
    wait = look.wait(ahead=max(place, look.queued) if place >= FAR else place)
    if wait is None or not 1 <= wait <= MOST.total_seconds():
        return ""
    return about(wait)
