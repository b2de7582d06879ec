"""What the records of a run come to. Pure: no clock, no network, no files."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any

from tests.load.records import Ending, Record, Sample

GOOD = frozenset({"succeeded", "cancelled"})  # nobody but the run itself cancels
FULL = "queue_full"  # the one 503 that is an answer, and no failure
REFUSING = frozenset({429, 503})


def spread(values: Iterable[float]) -> dict[str, float | int | None]:
    """By nearest rank, so that each is a value that really came."""
    ordered = sorted(values)

    def at(share: float) -> float | None:
        if not ordered:
            return None
        return round(ordered[max(0, -(-round(share * 1000) * len(ordered) // 1000) - 1)], 3)

    return {
        "count": len(ordered),
        "p50": at(0.5),
        "p95": at(0.95),
        "p99": at(0.99),
        "max": at(1.0),
    }


def outcome(submit: Record) -> str:
    """accepted, refused (with a word when to come again), or broken."""
    if submit["status"] in {200, 201}:
        return "accepted"
    refused = submit["status"] == 429 or (submit["status"] == 503 and submit["code"] == FULL)
    return "refused" if refused and submit["retry_after"] is not None else "broken"


def failed(request: Record) -> bool:
    """An answer of 5xx that is no refusal."""
    full = request["status"] == 503 and request["code"] == FULL
    return request["status"] >= 500 and not full


def admission(submits: Sequence[Record]) -> dict[str, Any]:
    by: dict[str, list[Record]] = {"accepted": [], "refused": [], "broken": []}
    for submit in submits:
        by[outcome(submit)].append(submit)
    surfaces = sorted({submit["surface"] for submit in submits})
    return {
        **{name: len(found) for name, found in by.items()},
        "by_code": dict(sorted(Counter(s["code"] for s in submits if s["code"]).items())),
        "by_surface": {
            surface: {
                name: sum(s["surface"] == surface for s in found) for name, found in by.items()
            }
            for surface in surfaces
        },
        "accepted_ms": spread(s["ms"] for s in by["accepted"]),
        "refused_ms": spread(s["ms"] for s in by["refused"]),
        "retry_after_seconds": spread(s["retry_after"] for s in by["refused"]),
        "without_retry_after": sum(
            s["status"] in REFUSING and s["retry_after"] is None for s in submits
        ),
    }


def come_back(submits: Sequence[Record], gave_up: Sequence[Record]) -> dict[str, Any]:
    """Of the refusals, how many next tries of the same wish were accepted."""
    tries: dict[str, list[Record]] = {}
    for submit in sorted(submits, key=lambda s: s["attempt"]):
        tries.setdefault(submit["wish"], []).append(submit)
    told = {}
    for manner, impatient in (("honest", False), ("impatient", True)):
        again, accepted, wishes = 0, 0, 0
        for each in tries.values():
            if each[0]["impatient"] is not impatient or outcome(each[0]) != "refused":
                continue
            wishes += 1
            pairs = list(pairwise(each))
            again += len(pairs)
            accepted += sum(outcome(then) == "accepted" for _, then in pairs)
        told[manner] = {
            "wishes_refused": wishes,
            "came_again": again,
            "accepted_then": accepted,
            "fraction": round(accepted / again, 3) if again else None,
            "gave_up": sum(each["impatient"] is impatient for each in gave_up),
        }
    return told


def waits(submits: Sequence[Record], endings: Mapping[str, Ending]) -> dict[str, Any]:
    """Seconds. Late: what came, less what was promised; of jobs that one attempt made."""
    real, late, total, late_total = [], [], [], []
    for submit in submits:
        ending = endings.get(submit["job"])
        if ending is None or ending.claimed is None or ending.attempts != 1:
            continue
        waited = ending.claimed - ending.submitted
        real.append(waited)
        if submit["promised_wait"] is not None:
            late.append(waited - submit["promised_wait"])
        if ending.ended is None or ending.state != "succeeded":
            continue
        total.append(ending.ended - ending.submitted)
        if submit["promised_eta"] is not None:
            late_total.append(total[-1] - submit["promised_eta"])
    return {
        "waited_seconds": spread(real),
        "wait_late_seconds": spread(late),
        "wait_off_seconds": spread(abs(each) for each in late),
        "done_after_seconds": spread(total),
        "done_late_seconds": spread(late_total),
        "done_off_seconds": spread(abs(each) for each in late_total),
    }


def jobs(
    submits: Sequence[Record], endings: Mapping[str, Ending], cancelled: int
) -> dict[str, Any]:
    """cancelled: by the run, at its end."""
    accepted = {submit["job"] for submit in submits if outcome(submit) == "accepted"}
    known = {job: endings[job] for job in accepted if job in endings}
    unfinished = [e for e in known.values() if e.ended is None]
    return {
        "accepted": len(accepted),
        "lost": sorted(accepted - known.keys()) + sorted(e.job for e in unfinished),
        "by_state": dict(sorted(Counter(e.state for e in known.values()).items())),
        "ended_badly": sum(e.state not in GOOD and e.ended is not None for e in known.values()),
        "tried_again": sum(e.attempts > 1 for e in known.values()),
        "cancelled_at_the_end": cancelled,
        "nobody_was_told": len(endings.keys() - accepted),
    }


def requests(found: Sequence[Record]) -> dict[str, Any]:
    by: dict[str, list[Record]] = {}
    for request in found:
        by.setdefault(request["name"], []).append(request)
    return {
        name: {
            "by_status": dict(sorted(Counter(str(r["status"]) for r in some).items())),
            "ms": spread(r["ms"] for r in some),
        }
        for name, some in sorted(by.items())
    }


def errors(found: Sequence[Record]) -> dict[str, int]:
    return {
        "failed": sum(failed(request) for request in found),
        "no_answer": sum(request["status"] == 0 for request in found),
    }


def live(records: Sequence[Record]) -> dict[str, Any]:
    sockets = [record for record in records if record["kind"] == "socket"]
    counted = Counter(record["what"] for record in sockets)
    return {
        "fact_ms": spread(r["ms"] for r in records if r["kind"] == "fact"),
        "preview_ms": spread(r["ms"] for r in records if r["kind"] == "preview"),
        "sockets": {what: counted[what] for what in ("opened", "resumed", "broken", "refused")},
        "sockets_why": dict(Counter(r["code"] for r in sockets if r["code"])),
    }


def parts(samples: Sequence[Sample]) -> dict[str, Any]:
    """Percent of one core, and MB. The first sample of a process has no processor time yet."""
    told = {}
    for name in sorted({part for sample in samples for part in sample.memory_mb}):
        cpu = [sample.cpu.get(name, 0.0) for sample in samples]
        memory = [sample.memory_mb[name] for sample in samples if name in sample.memory_mb]
        told[name] = {
            "cpu_mean": round(sum(cpu) / len(cpu), 1),
            "cpu_max": max(cpu),
            "memory_first_mb": memory[0],
            "memory_last_mb": memory[-1],
            "memory_max_mb": max(memory),
        }
    return told


def services(samples: Sequence[Sample]) -> dict[str, float | None]:
    """The most of each; None where nobody watched."""
    return {
        "queued_max": max((s.queued for s in samples), default=None),
        "connections_max": max((s.connections for s in samples), default=None),
        "redis_mb_max": max((s.redis_mb for s in samples), default=None),
        "disk_mb_max": max((s.disk_mb for s in samples), default=None),
    }
