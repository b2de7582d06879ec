"""REST for operators: who works, what waits and why, draining a worker."""

from typing import Any, ClassVar

from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.idempotency import once
from accounts.roles import Permission, Scope
from jobs import overview, workers
from jobs.access import may
from jobs.api import caller
from jobs.crew import Working
from jobs.dead_letters import Parked
from jobs.errors import NotFound, OperatorsOnly
from jobs.models import Worker
from jobs.overview import Overview, Running, Waiting


class OperatorView(APIView):
    needs: ClassVar = Scope.ADMIN

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Raises OperatorsOnly, whether or not there is what was asked for."""
        super().initial(request, *args, **kwargs)
        if not may(caller(request), Permission.OPERATE):
            raise OperatorsOnly


class WorkerList(OperatorView):
    def get(self, request: Request) -> Response:
        seen = overview.workers()
        return Response({"count": seen.count, "workers": [_worker(one) for one in seen.rows]})


class WorkerDrain(OperatorView):
    def post(self, request: Request, name: str) -> Response:
        """It hands back what it renders after the step at hand, and takes nothing until resume."""
        return once(request, lambda: _tell(request, name, drains=True))


class WorkerResume(OperatorView):
    def post(self, request: Request, name: str) -> Response:
        return once(request, lambda: _tell(request, name, drains=False))


class QueueOverview(OperatorView):
    def get(self, request: Request) -> Response:
        return Response(_overview(overview.look()))


def _tell(request: Request, name: str, *, drains: bool) -> Response:
    row = Worker.objects.filter(name=name).first() if "\x00" not in name else None
    if row is None:
        raise NotFound("There is no such worker.")
    if drains:
        workers.drain(name, by=caller(request))
    else:
        workers.resume(name, by=caller(request))
    row.refresh_from_db()
    return Response(_worker(overview.look_at(row)))


def _worker(one: Working) -> dict[str, Any]:
    row = one.worker
    return {
        "name": row.name,
        "pool": row.pool,
        "device": row.device,
        "lives": one.lives,
        "ready": row.ready_at is not None,
        "does": one.words,
        "trouble": row.trouble,
        "models": one.models,
        "memory_used": None if one.memory is None else one.memory.used,
        "memory_total": None if one.memory is None else one.memory.total,
        "holds": [str(each.job) for each in one.holds],
        "started_at": row.started_at.isoformat(),
        "seen_at": row.seen_at.isoformat(),
        "draining_since": row.drain_requested_at and row.drain_requested_at.isoformat(),
    }


def _overview(seen: Overview) -> dict[str, Any]:
    return {
        "now": seen.now.isoformat(),
        "running": {
            "count": seen.running.count,
            "jobs": [_running(one) for one in seen.running.rows],
        },
        "waiting": {
            "count": seen.waiting.count,
            "jobs": [_waiting(one) for one in seen.waiting.rows],
        },
        "parked": {
            "count": seen.parked.count,
            "jobs": [_parked(one) for one in seen.parked.rows],
        },
    }


def _running(one: Running) -> dict[str, Any]:
    return {
        "id": str(one.job.pk),
        "owner": one.job.owner.email,
        "pool": one.job.pool,
        "worker": one.worker,
        "attempt": one.job.attempt,
        "step": one.job.step,
        "steps": one.steps,
        "lease_left_seconds": round(one.lease_left.total_seconds(), 3),
        "resumed_from": one.resumed_from,
    }


def _waiting(one: Waiting) -> dict[str, Any]:
    return {
        "id": str(one.job.pk),
        "owner": one.job.owner.email,
        "pool": one.job.pool,
        "place": one.place,
        "why": one.why,
        "run_at": one.job.run_at.isoformat(),
    }


def _parked(one: Parked) -> dict[str, Any]:
    assert one.job.finished_at is not None
    return {
        "id": str(one.job.pk),
        "owner": one.job.owner.email,
        "pool": one.job.pool,
        "worker": one.worker,
        "finished_at": one.job.finished_at.isoformat(),
        "error_code": one.job.error_code,
        "error_message": one.job.error_message,
    }
