"""Who of the provider's people may come in, and as whom."""

import logging
from typing import Any

from allauth.account.models import EmailAddress
from allauth.core.exceptions import ImmediateHttpResponse
from allauth.socialaccount.adapter import DefaultSocialAccountAdapter
from allauth.socialaccount.models import SocialLogin
from allauth.socialaccount.providers.base import AuthProcess
from django.conf import settings
from django.http import HttpRequest
from django.shortcuts import render

from accounts import actions
from accounts.claims import domain_of
from accounts.models import User
from accounts.sso import configured

logger = logging.getLogger(__name__)


class SingleSignOn(DefaultSocialAccountAdapter):  # type: ignore[misc]  # allauth has no types
    """An identity is (issuer, subject). An address alone never is one; it may lead to an account
    that has none yet, when the provider verified it and its domain is in T2V_OIDC_ALLOWED_DOMAINS.
    """

    def pre_social_login(self, request: HttpRequest, sociallogin: SocialLogin) -> None:
        """Raises ImmediateHttpResponse with a page that says why not."""
        said = sociallogin.account.extra_data
        connects = sociallogin.state.get("process") == AuthProcess.CONNECT
        email, domains = str(said.get("email") or ""), configured().domains
        trusted = bool(email) and said["email_verified"]
        if domains and not (trusted and domain_of(email) in domains):
            raise _refusal(request, "domain" if trusted else "unverified")
        if sociallogin.is_existing and sociallogin.account.pk is None and not connects:
            actions.take_from_strangers(sociallogin.user)  # who was led here by the address
        if sociallogin.is_existing or connects:
            return
        if not trusted:
            raise _refusal(request, "unverified")
        if owner_of(email) is not None:
            raise _refusal(request, "known")
        actions.forget_claims_to(email)

    def authenticate_by_email(self, sociallogin: SocialLogin) -> tuple[User, str] | None:
        """The account that an address of a trusted domain leads to, and the address."""
        for address in sociallogin.email_addresses:
            if address.verified and domain_of(address.email) in configured().domains:
                user = owner_of(address.email)
                if user is not None:
                    return user, address.email
        return None

    def is_open_for_signup(self, request: HttpRequest, sociallogin: SocialLogin) -> bool:
        return bool(settings.T2V_SIGNUP != "closed")

    def on_authentication_error(
        self,
        request: HttpRequest,
        provider: Any,
        error: Any = None,
        exception: Exception | None = None,
        extra_context: dict[str, Any] | None = None,
    ) -> None:
        why = getattr(exception, "reason", None) or type(exception).__name__
        logger.warning("single sign-on failed: %s", why if exception else error)


def owner_of(email: str) -> User | None:
    """Whose address it is: not who only began to change theirs to it, and never opened the link.

    Addresses are kept in lower case and compared as they are: to Postgres' UPPER() ı is an I.
    """
    email = email.lower()
    verified = EmailAddress.objects.filter(email=email, verified=True).first()
    if verified is not None:
        owner: User = verified.user
        return owner
    return User.objects.filter(email=email).first()


def _refusal(request: HttpRequest, reason: str) -> ImmediateHttpResponse:
    logger.warning("single sign-on refused: %s", reason)
    context = {"reason": reason, "provider": configured()}
    return ImmediateHttpResponse(render(request, "socialaccount/refused.html", context, status=403))
