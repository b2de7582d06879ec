"""Out to the provider, and back."""

from typing import Any

from allauth.account.internal.decorators import login_not_required
from allauth.socialaccount.helpers import render_authentication_error
from allauth.socialaccount.providers.oauth2.client import OAuth2Error
from allauth.socialaccount.providers.oauth2.views import OAuth2CallbackView, OAuth2LoginView
from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponseBase
from django.views.decorators.cache import never_cache

from accounts.sso.provider import NAME, Conversation


class Callback(OAuth2CallbackView):  # type: ignore[misc]  # allauth has no types
    def _get_state(self, request: HttpRequest, provider: Any) -> tuple[Any, Any]:
        state, refusal = super()._get_state(request, provider)
        if state is not None:
            self.adapter.nonce = state.get("nonce", "")
        return state, refusal


@login_not_required  # type: ignore[untyped-decorator]
@never_cache
def login(request: HttpRequest) -> HttpResponseBase:
    return _answer(request, OAuth2LoginView)


@login_not_required  # type: ignore[untyped-decorator]
@never_cache
def callback(request: HttpRequest) -> HttpResponseBase:
    return _answer(request, Callback)


def _answer(request: HttpRequest, view: Any) -> HttpResponseBase:
    """allauth catches what its provider raises only while it asks for the token."""
    if settings.T2V_OIDC is None:
        raise Http404("There is no single sign-on here.")
    conversation = Conversation(request, NAME)
    answer: HttpResponseBase
    try:
        answer = view.adapter_view(conversation)(request)
    except OAuth2Error as error:
        provider = conversation.get_provider()
        answer = render_authentication_error(request, provider, exception=error)
    return answer
