"""Pages of a person's own things: tokens."""

from datetime import timedelta
from typing import Any, cast

from allauth.account.decorators import reauthentication_required
from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from accounts import actions, places, workspaces
from accounts.errors import BadFields, Refusal
from accounts.models import ApiToken, User
from accounts.roles import Scope

SCOPES = {
    Scope.JOBS_READ: "See your videos, follow them live, download them",
    Scope.JOBS_WRITE: "Make, cancel and delete videos as well",
    Scope.ADMIN: "Everything that your role gives you beyond your own videos",
}
DAYS = {"30": "30 days", "90": "90 days", "365": "a year", "": "no end"}


class TokenForm(forms.Form):
    name = forms.CharField(
        max_length=100, error_messages={"required": "Say what the token is for."}
    )
    scopes = forms.MultipleChoiceField(
        choices=[],
        widget=forms.CheckboxSelectMultiple,
        initial=[Scope.JOBS_READ, Scope.JOBS_WRITE],
        error_messages={"required": "Choose at least one."},
    )
    expires_in_days = forms.ChoiceField(
        choices=list(DAYS.items()), required=False, initial="90", label="Good for"
    )
    workspace = forms.ChoiceField(choices=[], required=False, label="Good in")

    def __init__(self, user: User, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        where = self.fields["workspace"]
        assert isinstance(where, forms.ChoiceField)
        theirs = [(place.slug, f"{place.name} alone") for place in places.of(user)]
        where.choices = [("", "all my workspaces"), *theirs]
        scopes = self.fields["scopes"]
        assert isinstance(scopes, forms.MultipleChoiceField)
        administers = Scope.ADMIN in user.scopes and actions.may_administer(user)
        scopes.choices = [
            (scope.value, words)
            for scope, words in SCOPES.items()
            if administers or scope is not Scope.ADMIN
        ]


@login_required
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@reauthentication_required(allow_get=True, app="accounts")  # type: ignore[untyped-decorator]
def tokens(request: HttpRequest) -> HttpResponse:
    """The list, and a form for another one; a new token is shown in the answer to its form."""
    user = cast(User, request.user)
    form, fresh, status = TokenForm(user), None, 200
    if request.method == "POST":
        form, status = TokenForm(user, request.POST), 400
        if form.is_valid() and (fresh := _issue(user, form)) is not None:
            form, status = TokenForm(user), 201
    mine = ApiToken.objects.filter(user=user).select_related("workspace").order_by("-created")
    context = {"form": form, "fresh": fresh, "tokens": mine, "now": timezone.now()}
    return render(request, "settings/tokens.html", context, status=status)


def _issue(user: User, form: TokenForm) -> str | None:
    """None when it was refused; the form says why then."""
    given = form.cleaned_data
    days = given["expires_in_days"]
    try:
        _, token = actions.issue_token(
            user,
            name=given["name"],
            scopes=given["scopes"],
            expires_in=timedelta(days=int(days)) if days else None,
            workspace=workspaces.named(user, given["workspace"]) if given["workspace"] else None,
        )
    except BadFields as refusal:
        for field, message in refusal.fields.items():
            form.add_error(field, message)
    except Refusal as refusal:
        form.add_error(None, str(refusal))
    else:
        return token
    return None


@login_required
@require_POST
@reauthentication_required(app="accounts")  # type: ignore[untyped-decorator]
def revoke(request: HttpRequest, prefix: str) -> HttpResponse:
    token = ApiToken.objects.filter(user=cast(User, request.user), token_key=prefix).first()
    if token is None:
        raise Http404("There is no such token.")
    actions.revoke_token(token, by=cast(User, request.user))
    messages.success(request, f"The token “{token.name}” is revoked and opens nothing any more.")
    return redirect("tokens")
