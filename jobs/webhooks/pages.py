"""Pages of webhooks: parse → access → one action → answer. Everything works without a script."""

import uuid
from collections.abc import Callable
from typing import Any, cast
from uuid import UUID

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db.models import Q
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.http import urlencode
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from accounts.models import User
from jobs.cursors import Cursor, Wanted, turn_to
from jobs.errors import BadFields, NotFound, Refusal
from jobs.webhooks import endpoints, outbox
from jobs.webhooks.addresses import LONGEST_URL
from jobs.webhooks.endpoints import access_delivery, access_endpoint, visible_endpoints
from jobs.webhooks.models import DeliveryState, WebhookEndpoint
from jobs.webhooks.shapes import Kind

ORDER = "-created_at"
TRIES_SHOWN = 10
# What the log shows, by ?result=. Each is a walk along the index of one endpoint's deliveries,
# which are kept for 30 days.
RESULTS = {
    "": ("All", Q()),
    "delivered": ("Delivered", Q(state=DeliveryState.DELIVERED)),
    "waiting": ("Waiting", Q(state=DeliveryState.PENDING)),
    "failed": ("Failed", Q(state=DeliveryState.EXHAUSTED)),
}
WORDS = {
    Kind.JOB_SUCCEEDED: "A video is ready",
    Kind.JOB_FAILED: "It failed, or its time ran out in the queue",
    Kind.JOB_CANCELLED: "It was cancelled",
    Kind.JOB_PARKED: "Given up after several attempts",
    Kind.VIDEO_COMPLETED: "Ready, in the shape of /v1",
    Kind.VIDEO_FAILED: "Any other end, in the shape of /v1",
}


class EndpointForm(forms.Form):
    url = forms.CharField(
        label="Where to send it",
        max_length=LONGEST_URL,
        widget=forms.URLInput(attrs={"placeholder": "https://example.com/hooks/videos"}),
    )
    description = forms.CharField(label="What is it for?", max_length=200, required=False)
    events = forms.MultipleChoiceField(
        label="What do you want to hear of?",
        choices=[(kind.value, words) for kind, words in WORDS.items()],
        widget=forms.CheckboxSelectMultiple,
        initial=[Kind.JOB_SUCCEEDED, Kind.JOB_FAILED, Kind.JOB_PARKED],
        error_messages={"required": "Choose at least one."},
    )

    def refuse(self, refusal: Refusal) -> None:
        """Each message at its own field."""
        if not isinstance(refusal, BadFields):
            self.add_error(None, str(refusal))
            return
        for field, message in refusal.fields.items():
            self.add_error(field, message)


class NewEndpointForm(EndpointForm):
    """made is the new one's id: the button pressed twice, or the page sent again, makes one."""

    made = forms.UUIDField(widget=forms.HiddenInput, initial=uuid.uuid4)


@login_required
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def webhooks(request: HttpRequest) -> HttpResponse:
    """The list, and a form for another one; a new one's secret is shown in the answer to it."""
    user = cast(User, request.user)
    form, fresh, status = NewEndpointForm(), None, 200
    if request.method == "POST":
        form, status = NewEndpointForm(request.POST), 400
        if form.is_valid():
            made = form.cleaned_data["made"]
            if WebhookEndpoint.objects.filter(pk=made).exists():
                messages.warning(request, "It is made already. Its secret is not shown again.")
                return redirect("webhooks")
            if (fresh := _create(user, form)) is not None:
                form, status = NewEndpointForm(), 201
    context = {
        "form": form,
        "fresh": fresh,
        "webhooks": visible_endpoints(user),
        "most": endpoints.MOST,
    }
    return render(request, "settings/webhooks.html", context, status=status)


def _create(user: User, form: NewEndpointForm) -> str | None:
    """The new one's secret; None when it was refused; the form says why then."""
    given = form.cleaned_data
    try:
        _, secret = endpoints.create(
            user,
            url=given["url"],
            events=given["events"],
            description=given["description"],
            endpoint_id=given["made"],
        )
    except Refusal as refusal:
        form.refuse(refusal)
        return None
    return secret


@login_required
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def webhook(request: HttpRequest, webhook_id: UUID) -> HttpResponse:
    """One, with its log; posted, its changed settings."""
    row = _own(request, webhook_id)
    if request.method != "POST":
        return _show(request, row)
    form = EndpointForm(request.POST)
    if form.is_valid():
        try:
            endpoints.change(row.pk, **form.cleaned_data)
        except Refusal as refusal:
            form.refuse(refusal)
        else:
            messages.success(request, "Saved.")
            return redirect("webhook", webhook_id=row.pk)
    return _show(request, row, form=form, status=400)


def _show(
    request: HttpRequest,
    row: WebhookEndpoint,
    *,
    form: EndpointForm | None = None,
    fresh: str | None = None,
    status: int = 200,
) -> HttpResponse:
    usual = {"url": row.url, "description": row.description, "events": row.events}
    result = request.GET.get("result", "")
    result = result if result in RESULTS else ""
    told = row.deliveries.defer("body").filter(RESULTS[result][1])
    kept = {"result": result} if result else {}
    page = turn_to(told, _place(request))
    context = {
        "webhook": row,
        "form": form or EndpointForm(initial=usual),
        "fresh": fresh,
        "deliveries": page.rows,
        "newer": _turned(kept, page.previous),
        "older": _turned(kept, page.next),
        "results": [
            {"words": words, "url": f"?{urlencode({'result': name} if name else {})}", "name": name}
            for name, (words, _) in RESULTS.items()
        ],
        "result": result,
        "back": urlencode({**kept, **_cursor_of(request)}),
        "opened": _opened(request, row),
        "now": timezone.now(),
        "kinds": [(kind, WORDS[kind]) for kind in Kind if kind in row.events],
    }
    return render(request, "settings/webhook.html", context, status=status)


def _place(request: HttpRequest) -> Wanted:
    """The newest page where the address names none that a list gave."""
    try:
        return Wanted.read(_cursor_of(request), orderings=(ORDER,))
    except BadFields:
        return Wanted.read({}, orderings=(ORDER,))


def _cursor_of(request: HttpRequest) -> dict[str, str]:
    cursor = request.GET.get("cursor")
    return {"cursor": cursor} if cursor else {}


def _turned(kept: dict[str, str], cursor: Cursor | None) -> str | None:
    if cursor is None:
        return None
    return f"?{urlencode({**kept, 'cursor': cursor.encode()})}"


def _opened(request: HttpRequest, row: WebhookEndpoint) -> Any:
    """The delivery that ?delivery= names, with its last tries."""
    try:
        wanted = UUID(request.GET.get("delivery", ""))
        delivery = access_delivery(request.user, row.pk, wanted)
    except (ValueError, NotFound):
        return None
    return {"row": delivery, "tries": delivery.log.order_by("-number")[:TRIES_SHOWN]}


@login_required
@never_cache
@require_POST
def rotate(request: HttpRequest, webhook_id: UUID) -> HttpResponse:
    """A new secret, shown in the answer; sent again, the same button makes no third one."""
    row = _own(request, webhook_id)
    if request.POST.get("instead_of") != row.secret_hint:
        messages.warning(request, "It was replaced already. The new one is not shown again.")
        return redirect("webhook", webhook_id=row.pk)
    row, secret = endpoints.rotate_secret(row.pk)
    return _show(request, row, fresh=secret)


@login_required
@require_POST
def test(request: HttpRequest, webhook_id: UUID) -> HttpResponse:
    row = _own(request, webhook_id)
    asked = request.POST.get("event", "")
    kind = Kind(asked if asked in set(Kind) else row.events[0])
    return _acted(
        request,
        row,
        lambda: outbox.send_sample(row.pk, kind),
        "The test is on its way; the log says what comes of it.",
    )


@login_required
@require_POST
def send(request: HttpRequest, webhook_id: UUID, delivery_id: UUID) -> HttpResponse:
    row = _own(request, webhook_id)
    return _acted(
        request,
        row,
        lambda: outbox.send_again(row.pk, delivery_id),
        "It is sent again, under the same id; the log says what comes of it.",
        at=f"?delivery={delivery_id}#delivery",
    )


@login_required
@require_POST
def switch(request: HttpRequest, webhook_id: UUID) -> HttpResponse:
    """Enables with "enable" in the form, or in the address, which is what Undo posts to."""
    row = _own(request, webhook_id)
    if "enable" in request.POST or "enable" in request.GET:
        return _acted(
            request, row, lambda: endpoints.enable(row.pk), "Enabled: what waited goes out now."
        )
    return _acted(
        request,
        row,
        lambda: endpoints.disable(row.pk),
        "Disabled: nothing is sent there now.",
        undo=f"{request.path}?enable=1",
    )


@login_required
@require_POST
def delete(request: HttpRequest, webhook_id: UUID) -> HttpResponse:
    row = _own(request, webhook_id)
    endpoints.delete(row.pk)
    messages.success(request, f"The webhook to {row.url[:100]} is deleted.")
    return redirect("webhooks")


def _acted(
    request: HttpRequest,
    row: WebhookEndpoint,
    act: Callable[[], object],
    done: str,
    *,
    at: str = "",
    undo: str = "",
) -> HttpResponse:
    try:
        act()
    except Refusal as refusal:
        messages.warning(request, str(refusal))
    else:
        messages.success(request, done, extra_tags=f"undo:{undo}" if undo else "")
    answer = redirect("webhook", webhook_id=row.pk)
    answer["Location"] += at
    return answer


def _own(request: HttpRequest, webhook_id: UUID) -> WebhookEndpoint:
    try:
        return access_endpoint(request.user, webhook_id)
    except NotFound as refusal:
        raise Http404(str(refusal)) from refusal
