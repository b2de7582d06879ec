"""Pages of workspaces: which one is in, and what becomes of them; member_pages.py has the people.

Every address names its workspace: a page that was opened before a switch acts on what it shows.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any, cast

from allauth.account.decorators import reauthentication_required
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from accounts import actions, workspaces
from accounts.errors import BadFields, Refusal
from accounts.models import User, Workspace
from accounts.roles import Permission
from accounts.workspace_forms import NameForm, TransferForm

PAGE = ["GET", "HEAD", "POST"]

View = Callable[..., HttpResponse]


def in_workspace(view: View) -> View:
    """Hands the view the workspace that its address names; 404 for one that is not theirs."""

    @login_required
    @never_cache
    @wraps(view)
    def opened(request: HttpRequest, slug: str, **rest: Any) -> HttpResponse:
        try:
            workspace = workspaces.opened(cast(User, request.user), slug)
        except Refusal as refusal:
            raise Http404(str(refusal)) from refusal
        return view(request, workspace, **rest)

    return opened


def done(request: HttpRequest, act: Callable[[], object], words: str, *, undo: str = "") -> bool:
    """Whether it was; the page that follows says so, or why not.

    undo: where a POST takes it back.
    """
    try:
        act()
    except Refusal as refusal:
        if refusal.status == 404:
            raise Http404(str(refusal)) from refusal
        messages.warning(request, str(refusal))
        return False
    messages.success(request, words, extra_tags=f"undo:{undo}" if undo else "")
    return True


@login_required
@never_cache
@require_http_methods(PAGE)
def overview(request: HttpRequest) -> HttpResponse:
    """Those one is in, and a form for another one, in which one works then."""
    user = cast(User, request.user)
    form, status = NameForm(), 200
    if request.method == "POST":
        form = NameForm(request.POST)
        status = fill(form, lambda: actions.create_workspace(user, form.cleaned_data["name"]))
        if status == 302:
            messages.success(request, f"The workspace “{form.cleaned_data['name']}” is yours.")
            return redirect("workspaces")
    context = {
        "form": form,
        "creates": actions.may_create(user),
        "full": len(user.memberships) >= actions.MAX_WORKSPACES,
    }
    return render(request, "settings/workspaces.html", context, status=status)


def fill(form: Any, act: Callable[[], object]) -> int:
    """302 when it was done, else the status of the form with what is wrong at its fields."""
    if not form.is_valid():
        return 400
    try:
        act()
    except BadFields as refusal:
        for field, message in refusal.fields.items():
            form.add_error(field, message)
        return refusal.status
    except Refusal as refusal:
        form.add_error(None, str(refusal))
        return refusal.status
    return 302


@login_required
@require_POST
def switch(request: HttpRequest) -> HttpResponse:
    user = cast(User, request.user)
    workspace = workspaces.named(user, request.POST.get("workspace", ""))
    if workspace is None:
        raise Http404("There is no such workspace, or you are not in it.")
    actions.switch_workspace(user, workspace)
    return redirect("home")


@in_workspace
@require_http_methods(PAGE)
def detail(request: HttpRequest, workspace: Workspace) -> HttpResponse:
    """Its name, whose it is, and the ways out."""
    user, form, status = cast(User, request.user), NameForm(initial={"name": workspace.name}), 200
    if request.method == "POST":
        form = NameForm(request.POST)
        status = fill(
            form,
            lambda: actions.rename_workspace(
                user, workspace=workspace.pk, name=form.cleaned_data["name"]
            ),
        )
        if status == 302:
            messages.success(request, f"It is called “{form.cleaned_data['name']}” now.")
            return redirect("workspace", slug=workspace.slug)
    owns = workspaces.may(user, Permission.EDIT_WORKSPACE, workspace.pk)
    context = {
        "shown": workspace,
        "form": form,
        "transfer": TransferForm(workspace) if owns else None,
        "owns": owns,
        "role": user.memberships.get(workspace.pk),
    }
    return render(request, "settings/workspace.html", context, status=status)


@in_workspace
@require_POST
@reauthentication_required  # type: ignore[untyped-decorator]  # allauth has no types
def transfer(request: HttpRequest, workspace: Workspace) -> HttpResponse:
    form = TransferForm(workspace, request.POST)
    if not form.is_valid():
        messages.warning(request, "Choose the member who shall own it.")
        return redirect("workspace", slug=workspace.slug)
    member = form.cleaned_data["member"]
    user = cast(User, request.user)
    done(
        request,
        lambda: actions.transfer(user, workspace=workspace.pk, member=member.pk),
        f"{member.user} owns “{workspace.name}” now.",
    )
    return redirect("workspace", slug=workspace.slug)


@in_workspace
@require_POST
def leave(request: HttpRequest, workspace: Workspace) -> HttpResponse:
    user = cast(User, request.user)
    left = done(
        request,
        lambda: actions.leave(user, workspace=workspace.pk),
        f"You have left “{workspace.name}”.",
    )
    return redirect("workspaces") if left else redirect("workspace", slug=workspace.slug)


@in_workspace
@require_POST
@reauthentication_required  # type: ignore[untyped-decorator]
def delete(request: HttpRequest, workspace: Workspace) -> HttpResponse:
    user = cast(User, request.user)
    gone = done(
        request,
        lambda: actions.delete_workspace(user, workspace=workspace.pk),
        f"The workspace “{workspace.name}” is deleted.",
    )
    return redirect("workspaces") if gone else redirect("workspace", slug=workspace.slug)
