"""Setting the quotas of a workspace, or of one person in it."""

from django import forms
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from accounts import actions
from accounts.console import Question, Reason, administrators_only, ask, filled, person
from accounts.errors import BadFields
from accounts.models import Membership, Workspace

QUOTAS = ("max_running", "max_queued", "max_gpu_seconds", "max_stored_bytes")


def _whole(label: str) -> forms.IntegerField:
    return forms.IntegerField(required=False, min_value=0, label=label)


class QuotaForm(Reason):
    """Blank: the site's own. 0: no limit."""

    max_running = _whole("Jobs that run at once")
    max_queued = _whole("Jobs that wait or run")
    max_gpu_seconds = _whole("GPU seconds a month")
    max_stored_bytes = _whole("Bytes stored")
    field_order = (*QUOTAS, "reason")


@administrators_only
@require_http_methods(["GET", "HEAD", "POST"])
def of_workspace(request: HttpRequest, workspace: int) -> HttpResponse:
    row = Workspace.objects.filter(pk=workspace).first()
    if row is None:
        raise Http404("There is no such workspace.")
    return _set(request, row, row, f"Quotas of {row}")


@administrators_only
@require_http_methods(["GET", "HEAD", "POST"])
def of_member(request: HttpRequest, member: int) -> HttpResponse:
    row = Membership.objects.select_related("workspace", "user").filter(pk=member).first()
    if row is None:
        raise Http404("There is no such member.")
    return _set(request, row, row.workspace, f"Quotas of {row.user} in {row.workspace}")


def _set(
    request: HttpRequest, row: Workspace | Membership, workspace: Workspace, title: str
) -> HttpResponse:
    back = reverse("admin:accounts_workspace_change", args=[workspace.pk])
    form = filled(QuotaForm, request, **{name: getattr(row, name) for name in QUOTAS})
    question = Question(
        title=title,
        words="Blank: what the site gives everybody; 0: no limit. It takes effect at once, and "
        "stops nothing that runs.",
        button="Set the quotas",
        back=back,
        danger=False,
    )
    if not form.is_valid():
        return ask(request, question, form)
    given = dict(form.cleaned_data)
    reason = given.pop("reason")
    try:
        actions.set_quota(row, actor=person(request), reason=reason, **given)
    except BadFields as refusal:
        for field, why in refusal.fields.items():
            form.add_error(field, why)
        return ask(request, question, form)
    messages.success(request, f"{title} are set.")
    return redirect(back)
