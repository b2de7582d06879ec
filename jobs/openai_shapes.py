"""What /v1/videos answers: ids, lengths, videos, pages, errors. Pure: no I/O, no framework.

The contract is docs/reference/videos.md.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any
from uuid import UUID

from jobs.lifecycle import State

if TYPE_CHECKING:
    from jobs.catalog import ModelEntry
    from jobs.models import Job

PREFIX = "video_"
VARIANTS = {"video": "video.mp4", "thumbnail": "poster.png", "spritesheet": "sprite.jpg"}

STATUSES = {
    State.QUEUED: "queued",
    State.RUNNING: "in_progress",
    State.SUCCEEDED: "completed",
    State.FAILED: "failed",
    State.PARKED: "failed",
    State.CANCELLED: "failed",
    State.EXPIRED: "failed",
}
# What a failed one says where the job itself has no words for it, or other ones.
PARKED = "Every attempt failed; an operator may try it again."
CANCELLED = "It was cancelled."

MIN_POLL_MS, MAX_POLL_MS, USUAL_POLL_MS = 1_000, 10_000, 2_000
POLLS = 10  # in the time that is left, so that a wait is noticed a tenth of it late


def video_id(job: UUID) -> str:
    return PREFIX + job.hex


def job_of(name: str) -> UUID | None:
    """None for what is no id of ours."""
    digits = name.removeprefix(PREFIX)
    if not name.startswith(PREFIX) or len(digits) != 32 or set(digits) - set("0123456789abcdef"):
        return None
    return UUID(hex=digits)


# --- Lengths ------------------------------------------------------------------------------------


def lengths(frames: Sequence[int], fps: int) -> dict[str, int]:
    """What `seconds` may be, and how many frames that makes; every length has one name.

    A length is called by the whole seconds that it fills, one that fills none by 1. Where several
    share that number it goes to the shortest that fills it; the others are called by their seconds
    to two decimals.
    """
    called: dict[str, int] = {}
    for count in sorted(frames):
        name = str(max(1, count // fps))
        had = called.get(name)
        if had is None or had < int(name) * fps:
            called[name] = count
    named = set(called.values())
    decimals = {f"{count / fps:.2f}": count for count in frames if count not in named}
    return dict(sorted((called | decimals).items(), key=lambda item: item[1]))


def length_name(count: int, frames: Sequence[int], fps: int) -> str:
    """As lengths() calls it; by its seconds where the model no longer has that length."""
    names = {each: name for name, each in lengths(frames, fps).items()}
    return names.get(count, f"{count / fps:.2f}")


# --- Videos -------------------------------------------------------------------------------------


def video(
    job: "Job",
    entry: "ModelEntry | None",
    *,
    place: int | None,
    eta_seconds: float | None,
    cost: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """entry: None where the model is no longer known. place: how many are before a queued one."""
    spec, state = job.request.render_spec(), State(job.state)
    frames = entry.limits.frames if entry is not None else ()
    done = state is State.SUCCEEDED
    source = job.request.remix_of_id
    return {
        "id": video_id(job.pk),
        "object": "video",
        "created_at": int(job.created_at.timestamp()),
        "completed_at": int(job.finished_at.timestamp()) if done and job.finished_at else None,
        "expires_at": None,
        "model": spec.model,
        "status": STATUSES[state],
        "progress": 100 if done else job.progress,
        "prompt": spec.prompt,
        "seconds": length_name(spec.frames, frames, spec.fps),
        "size": f"{spec.width}x{spec.height}",
        "remixed_from_video_id": None if source is None else video_id(source),
        "error": failure(job),
        "queue_position": None if place is None else place + 1,
        "eta_seconds": None if eta_seconds is None else round(eta_seconds, 1),
        "cost": cost,
        "quality": spec.quality,
    }


def failure(job: "Job") -> dict[str, Any] | None:
    """Why a failed one failed: always a code. None for any other."""
    state = State(job.state)
    if STATUSES[state] != "failed":
        return None
    if state is State.CANCELLED:
        return {"code": "cancelled", "message": CANCELLED}
    if state is State.PARKED:
        return {"code": "parked", "message": f"{job.error_message} {PARKED}".strip()}
    return {"code": job.error_code or state.value, "message": job.error_message}


def poll_after_ms(eta_seconds: float | None) -> int:
    """When to look again. The SDKs keep to the first one they see, as a whole number."""
    if eta_seconds is None:
        return USUAL_POLL_MS
    return max(MIN_POLL_MS, min(MAX_POLL_MS, int(1000 * eta_seconds / POLLS)))


def page(videos: Sequence[Mapping[str, Any]], *, has_more: bool) -> dict[str, Any]:
    """Without last_id the SDKs stop after the first page and say nothing."""
    return {
        "object": "list",
        "data": list(videos),
        "first_id": videos[0]["id"] if videos else None,
        "last_id": videos[-1]["id"] if videos else None,
        "has_more": has_more,
    }


def deleted(job: UUID) -> dict[str, Any]:
    return {"id": video_id(job), "object": "video.deleted", "deleted": True}


def model(entry: "ModelEntry") -> dict[str, Any]:
    """created is 0: the models file has no dates."""
    return {
        "id": entry.name,
        "object": "model",
        "created": 0,
        "owned_by": "t2v",
        "seconds": list(lengths(entry.limits.frames, entry.fps)),
        "sizes": [f"{width}x{height}" for width, height in entry.limits.sizes],
        "inputs": list(entry.inputs),
    }


# --- Errors -------------------------------------------------------------------------------------

# What a program that knows the original looks for: nothing is wrong with its rate.
_QUOTAS = {"gpu_seconds_used_up", "storage_full"}
_TYPES = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}


def error(message: str, *, status: int, code: str, param: str | None = None) -> dict[str, Any]:
    kind = "server_error" if status >= 500 else _TYPES.get(status, "invalid_request_error")
    kind = "insufficient_quota" if code in _QUOTAS else kind
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def retry_headers(status: int, *, code: str, retry_after: int | None) -> dict[str, str]:
    """What keeps an SDK from sending again what cannot work, or tells it when it may.

    They repeat 408, 409, 429 and 5xx by themselves. retry_after: seconds, None where it may never
    work. Of the 429s only a rate passes while one waits: a quota needs somebody to do something.
    """
    if status not in {408, 409, 429} and status < 500:
        return {}
    if retry_after is None:
        return {"x-should-retry": "false"} if status < 500 else {}
    headers = {"retry-after": str(retry_after), "retry-after-ms": str(1000 * retry_after)}
    if status == 429 and code != "rate_limited":
        headers["x-should-retry"] = "false"
    return headers
