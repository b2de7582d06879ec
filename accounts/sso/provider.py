"""The provider of T2V_OIDC_*, as allauth sees it.

allauth's own client takes an ID token that came over TLS unread (65.21: no signature, no nonce),
and does not hold it against what the user-info address says. Here both are looked at.
"""

import secrets
from typing import Any
from urllib.parse import urlsplit

import requests
from allauth.account.models import EmailAddress
from allauth.socialaccount.adapter import get_adapter
from allauth.socialaccount.models import SocialLogin, SocialToken
from allauth.socialaccount.providers.oauth2.client import OAuth2Error
from allauth.socialaccount.providers.openid_connect.provider import OpenIDConnectProvider
from allauth.socialaccount.providers.openid_connect.views import OpenIDConnectOAuth2Adapter
from django.conf import settings
from django.http import HttpRequest, HttpResponseBase
from django.urls import reverse

from accounts.claims import identity, values_of
from accounts.sso import configured
from accounts.sso.tokens import BadToken, verified

NAME = "sso"
MAX_VALUES = 500  # of the roles' claim
_ADDRESSES = ("authorization_endpoint", "token_endpoint", "jwks_uri")


class Conversation(OpenIDConnectOAuth2Adapter):  # type: ignore[misc]  # allauth has no types
    """One sign-in: what is fetched from the provider for it."""

    nonce = ""  # that it began with

    @property
    def openid_config(self) -> dict[str, Any]:
        """Raises OAuth2Error: the provider does not answer, or is another than the settings say."""
        if not hasattr(self, "_openid_config"):
            issuer = configured().issuer
            found = _fetched(f"{issuer}/.well-known/openid-configuration")
            if str(found.get("issuer", "")).rstrip("/") != issuer:
                raise BadToken("another issuer")
            for each in _ADDRESSES:
                if urlsplit(str(found.get(each, ""))).scheme not in _schemes(issuer):
                    raise BadToken(f"no {each}")
            self._openid_config = found
        found_before: dict[str, Any] = self._openid_config
        return found_before

    def get_callback_url(self, request: HttpRequest, app: Any) -> str:
        return settings.BASE_URL.rstrip("/") + reverse("sso_callback")

    def complete_login(
        self, request: HttpRequest, app: Any, token: SocialToken, **more: Any
    ) -> SocialLogin:
        """Raises OAuth2Error."""
        id_token = more["response"].get("id_token")
        if not isinstance(id_token, str) or not self.nonce:
            raise BadToken("no ID token")
        claims = verified(
            id_token,
            keys=_keys(_fetched(self.openid_config["jwks_uri"])),
            issuer=self.openid_config["issuer"],
            client_id=configured().client_id,
            nonce=self.nonce,
        )
        more_of_them = self._user_info(token.token, claims["sub"])
        return self.get_provider().sociallogin_from_response(request, more_of_them | claims)

    def _user_info(self, access_token: str, subject: str) -> dict[str, Any]:
        where = self.openid_config.get("userinfo_endpoint")
        if not where:
            return {}
        found = _fetched(str(where), Authorization=f"Bearer {access_token}")
        if found.get("sub") != subject:  # Core 1.0, 5.3.2: then it must not be used
            raise BadToken("another subject")
        return found


class Sso(OpenIDConnectProvider):  # type: ignore[misc]  # allauth has no types
    id = NAME
    name = "Single sign-on"
    oauth2_adapter_class = Conversation
    # A token that a program brings was asked for with a nonce that we do not know.
    supports_token_authentication = False

    def get_login_url(self, request: HttpRequest, **query: Any) -> str:
        return reverse("sso_login", query=query or None)

    def get_callback_url(self) -> str:
        return reverse("sso_callback")

    def get_redirect_from_request_kwargs(self, request: HttpRequest) -> dict[str, Any]:
        """Without what allauth lets the address of our own page add to the question."""
        wanted: dict[str, Any] = super().get_redirect_from_request_kwargs(request)
        wanted["scope"], wanted["auth_params"] = self.get_scope(), self.get_auth_params()
        if request.user.is_authenticated:  # they are to show once more who they are
            wanted["auth_params"]["prompt"] = "login"
        return wanted

    def redirect(self, request: HttpRequest, process: str, **more: Any) -> HttpResponseBase:
        nonce = secrets.token_urlsafe(32)
        more["auth_params"] = {**(more.get("auth_params") or {}), "nonce": nonce}
        answer: HttpResponseBase = super().redirect(request, process, nonce=nonce, **more)
        return answer

    def extract_uid(self, data: dict[str, Any]) -> str:
        return identity(data["iss"], data["sub"])

    def extract_extra_data(self, data: dict[str, Any]) -> dict[str, Any]:
        """What is kept of the claims: who it is, and what roles come of."""
        roles = sorted(values_of(data, configured().claim))[:MAX_VALUES]
        known = {name: data[name] for name in ("iss", "sub", "email", "name") if name in data}
        return known | {"email_verified": is_verified(data), "roles": roles}

    def extract_email_addresses(self, data: dict[str, Any]) -> list[EmailAddress]:
        email = data.get("email")
        if not isinstance(email, str) or not email:
            return []
        return [EmailAddress(email=email.lower(), verified=is_verified(data), primary=True)]

    def extract_common_fields(self, data: dict[str, Any]) -> dict[str, Any]:
        email = data.get("email")
        return {"email": email.lower() if isinstance(email, str) else None}


def is_verified(claims: dict[str, Any]) -> bool:
    """Some providers write the word."""
    said = claims.get("email_verified")
    return said is True or said == "true"


def _schemes(issuer: str) -> tuple[str, ...]:
    return ("https",) if issuer.startswith("https") else ("https", "http")


def _fetched(url: str, **headers: str) -> dict[str, Any]:
    """Raises OAuth2Error."""
    try:
        with get_adapter().get_requests_session() as session:
            answer = session.get(url, headers=headers)
            answer.raise_for_status()
            found = answer.json()
    except (requests.RequestException, ValueError) as error:
        raise OAuth2Error(f"The provider did not answer: {type(error).__name__}.") from error
    if not isinstance(found, dict):
        raise OAuth2Error("The provider answered with something else.")
    return found


def _keys(found: dict[str, Any]) -> list[dict[str, Any]]:
    keys = found.get("keys")
    if not isinstance(keys, list):
        raise BadToken("no keys")
    return [key for key in keys if isinstance(key, dict)]
