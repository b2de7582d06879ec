"""Settings → Profile and Notifications: how somebody appears, and how they want to be told."""

from typing import Any, cast

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe

from accounts import actions, zones
from accounts.errors import BadFields
from accounts.models import User

DATES = {  # as each writes this very day
    "": "As this device writes them",
    "en-GB": "26 Nov 2026, 14:05",
    "en-US": "Nov 26, 2026, 2:05 PM",
    "sv-SE": "2026-11-26 14:05",
    "de-DE": "26.11.2026, 14:05",
    "fr-FR": "26 nov. 2026, 14:05",
}


class ProfileForm(forms.Form):
    name = forms.CharField(
        label="Name", required=False, max_length=actions.MAX_PERSON_NAME, strip=True
    )
    time_zone = forms.CharField(label="Time zone", required=False, max_length=64)
    date_style = forms.ChoiceField(
        label="How they are written", required=False, choices=list(DATES.items())
    )


@login_required
@require_safe
def settings(request: HttpRequest) -> HttpResponse:
    return redirect("profile")


@login_required
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def profile(request: HttpRequest) -> HttpResponse:
    user, status = cast(User, request.user), 200
    usual = {name: getattr(user, name) for name in ("name", "time_zone", "date_style")}
    form = ProfileForm(initial=usual)
    if request.method == "POST":
        form, status = ProfileForm(request.POST), 400
        if form.is_valid() and _saved(user, form):
            messages.success(request, "Saved.")
            return redirect("profile")
    context: dict[str, Any] = {
        "form": form,
        "zones": zones.names(),
        "most": actions.MAX_PERSON_NAME,
        "now": timezone.now(),
    }
    return render(request, "settings/profile.html", context, status=status)


def _saved(user: User, form: ProfileForm) -> bool:
    """False when it was refused; the form says why then."""
    try:
        actions.set_profile(user, **form.cleaned_data)
    except BadFields as refusal:
        for field, message in refusal.fields.items():
            form.add_error(field, message)
        return False
    return True


@login_required
@never_cache
@require_safe
def notifications(request: HttpRequest) -> HttpResponse:
    """Nothing of it is kept on the server: a browser asks its own person (static/js/notify.js)."""
    return render(request, "settings/notifications.html")
