"""What was deleted and can still be brought back."""

from typing import cast

from django.contrib.auth.decorators import login_required
from django.db.models.functions import Now
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_safe

from accounts import workspaces
from accounts.models import User
from accounts.roles import Permission
from jobs import actions
from jobs.access import jobs_for

SHOWN = 100


@login_required
@require_safe
def deleted(request: HttpRequest) -> HttpResponse:
    """Of the workspace they work in: the last SHOWN that they may bring back."""
    user = cast(User, request.user)
    if not user.memberships:
        return redirect("workspaces")  # which says what to do about it
    kept_for = actions.kept_for()
    rows = jobs_for(user, Permission.DELETE).filter(
        workspace=workspaces.current_id(user), deleted_at__gt=Now() - kept_for
    )
    found = list(rows.to_show().order_by("-deleted_at", "-id")[: SHOWN + 1])
    for job in found:
        job.kept_until = job.deleted_at + kept_for  # type: ignore[attr-defined, operator]
    context = {"jobs": found[:SHOWN], "more": len(found) > SHOWN, "shown": SHOWN}
    return render(request, "jobs/library/deleted.html", context)
