"""Whether an ID token is what it says. No I/O: the provider's keys are given.

Source: OpenID Connect Core 1.0, 3.1.3.7; RFC 8725 (JSON Web Token best practices).
"""

import hmac
from collections.abc import Mapping, Sequence
from typing import Any

import jwt
from allauth.socialaccount.providers.oauth2.client import OAuth2Error

# Public keys alone: with a secret one as HS256 whoever knows the public key could sign.
ALGORITHMS = frozenset(
    {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}
)
LEEWAY_SECONDS = 30  # between two clocks
MAX_SUBJECT = 255  # characters; Core 1.0, 2
_REQUIRED = ["iss", "sub", "aud", "exp", "iat"]


class BadToken(OAuth2Error):  # type: ignore[misc]  # allauth has no types
    """The provider's answer proves nothing; reason is a word for the log, with no secret in it."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"The provider's answer cannot be trusted: {reason}.")
        self.reason = reason


def verified(
    token: str, *, keys: Sequence[Mapping[str, Any]], issuer: str, client_id: str, nonce: str
) -> dict[str, Any]:
    """The claims. keys are the provider's, as JWKs. Raises BadToken.

    Keys that the token brings or names itself (jwk, jku, x5c, x5u) are not looked at.
    """
    try:
        header = jwt.get_unverified_header(token)
    except jwt.PyJWTError:
        raise BadToken("malformed") from None
    algorithm = header.get("alg")
    if algorithm not in ALGORITHMS:
        raise BadToken("algorithm")
    try:
        claims: dict[str, Any] = jwt.decode(
            token,
            key=_key(keys, header.get("kid"), algorithm),
            algorithms=[algorithm],
            audience=client_id,
            issuer=issuer,
            leeway=LEEWAY_SECONDS,
            options={"require": _REQUIRED},
        )
    except jwt.PyJWTError as error:
        raise BadToken(type(error).__name__) from None
    audience, party = claims["aud"], claims.get("azp")
    if (isinstance(audience, list) and len(audience) > 1 and party is None) or (
        party is not None and party != client_id
    ):
        raise BadToken("authorised party")
    if not isinstance(claims.get("nonce"), str) or not _same(claims["nonce"], nonce):
        raise BadToken("nonce")
    if not isinstance(claims["sub"], str) or not 0 < len(claims["sub"]) <= MAX_SUBJECT:
        raise BadToken("subject")
    return claims


def _key(keys: Sequence[Mapping[str, Any]], kid: object, algorithm: str) -> Any:
    """The one of that name; without a name the only one. Raises BadToken."""
    fitting = [
        key
        for key in keys
        if key.get("use", "sig") == "sig"
        and key.get("alg", algorithm) == algorithm
        and (kid is None or key.get("kid") == kid)
    ]
    if len(fitting) != 1:
        raise BadToken("key")
    try:
        return jwt.PyJWK(dict(fitting[0]), algorithm=algorithm).key
    except jwt.PyJWTError:
        raise BadToken("key") from None


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode(), other.encode())
