"""REST of what is the same for everybody, and of what the caller has used."""

from datetime import datetime
from typing import Any

from django.utils import timezone
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts import workspaces
from accounts.errors import NoWorkspace
from accounts.models import User
from accounts.roles import Permission
from jobs import allowances, estimates, offer, usage
from jobs.access import may
from jobs.api import caller
from jobs.errors import NotFound
from jobs.etags import conditional
from jobs.quotas import Holder, renews_at
from jobs.serializers import model_to_dict
from jobs.usage import Share


class ModelList(APIView):
    def get(self, request: Request) -> Response:
        """Those on offer; the first is the default."""
        return conditional(request, [model_to_dict(entry) for entry in offer.models().values()])


class ModelDetail(APIView):
    def get(self, request: Request, name: str) -> Response:
        entry = offer.models().get(name)
        if entry is None:
            raise NotFound("There is no such model.")
        return conditional(request, model_to_dict(entry))


class MyUsage(APIView):
    def get(self, request: Request) -> Response:
        """The caller's own everywhere, and what counts in the workspace that they work in."""
        user, now = caller(request), timezone.now()
        used = usage.of(user, now=now)
        shared = _in_workspace(user, now)
        mine: dict[str, Any] = shared["person"]
        return Response(
            {
                "unfinished": mine["unfinished"],
                "jobs_days": usage.DAYS,
                "jobs": used.jobs,
                "month": used.month,
                "gpu_seconds": round(used.gpu_seconds, 3),
                "cost": estimates.cost_of(used.gpu_seconds),
                "stored_bytes": used.stored_bytes,
                "renews_at": renews_at(now),
            }
            | shared
        )


def _in_workspace(user: User, now: datetime) -> dict[str, Any]:
    """Of the one that they work in; of somebody who is in none, nothing but what they may."""
    try:
        workspace = workspaces.current(user)
    except NoWorkspace:
        alone = Share(quotas=allowances.usual(Holder.PERSON))
        return {"workspace": None, "person": _share(alone), "people": []}
    shared = usage.in_workspace(workspace, now=now)
    manages = may(user, Permission.MANAGE_MEMBERS, workspace=workspace.pk)
    return {
        "workspace": {"slug": workspace.slug, "name": workspace.name} | _share(shared.whole),
        "person": _share(shared.of(user)),
        "people": [
            {"email": each.email, "role": each.role} | _share(each.share)
            for each in (shared.members if manages else ())
        ],
    }


def _share(share: Share) -> dict[str, Any]:
    """A maximum of null is no limit."""
    quotas = share.quotas
    return {
        "running": {"count": share.running, "maximum": quotas.running or None},
        "unfinished": {"count": share.unfinished, "maximum": quotas.queued or None},
        "waiting_for_a_place": share.held,
        "gpu_seconds": {
            "used": round(share.spent_seconds, 3),
            "reserved": round(share.reserved_seconds, 3),
            "maximum": quotas.gpu_seconds or None,
        },
        "stored_bytes": {"used": share.stored_bytes, "maximum": quotas.stored_bytes or None},
    }
