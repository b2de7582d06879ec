"""What the real provider says of people: their groups too, in the user-info alone."""

from typing import Any

from allauth.idp.oidc.adapter import DefaultOIDCAdapter


class WithGroups(DefaultOIDCAdapter):  # type: ignore[misc]  # allauth has no types
    def get_claims(self, purpose: str, user: Any, *given: Any, **more: Any) -> dict[str, Any]:
        claims: dict[str, Any] = super().get_claims(purpose, user, *given, **more)
        if purpose == "userinfo":
            claims["groups"] = list(user.groups.values_list("name", flat=True))
        return claims
