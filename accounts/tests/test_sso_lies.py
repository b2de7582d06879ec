"""A provider, or somebody between it and us, that lies: nobody comes in, and a page says so."""

import base64
import json
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from django.conf import LazySettings
from django.test import Client

from accounts.claims import Provider
from accounts.models import User
from tests.provider.liar import KID, Liar, lying, new_key, public

pytestmark = pytest.mark.django_db
BEGIN, BACK = "/accounts/sso/login/", "/accounts/sso/callback/"
STRANGER = new_key()


@pytest.fixture(scope="module")
def started() -> Iterator[Liar]:
    with lying() as liar:
        yield liar


@pytest.fixture
def liar(started: Liar, settings: LazySettings) -> Liar:
    started.honest()
    settings.T2V_OIDC = Provider(
        issuer=started.issuer,
        client_id="t2v",
        client_secret="a secret",
        name="Example login",
        domains=frozenset(),
        claim="groups",
        grants=(),
        only=False,
    )
    settings.SOCIALACCOUNT_PROVIDERS = settings.T2V_OIDC.for_allauth()
    return started


def ask(client: Client) -> dict[str, str]:
    """What our question to the provider says."""
    where = client.post(BEGIN)["Location"]
    return {name: values[0] for name, values in parse_qs(urlsplit(where).query).items()}


def come_back(client: Client, **query: str) -> Any:
    return client.get(BACK, {"code": "a code", **query})


def come(liar: Liar, client: Client) -> Any:
    asked = ask(client)
    liar.nonce = liar.nonce or asked["nonce"]
    return come_back(client, state=asked["state"])


def is_in(client: Client) -> bool:
    return client.get("/settings/security").status_code == 200


def _part(value: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def _unsigned(claims: dict[str, Any]) -> str:
    return f"{_part({'alg': 'none', 'kid': KID})}.{_part(claims)}."


def _signature_cut(liar: Liar) -> Callable[[dict[str, Any]], str]:
    return lambda claims: liar.signed(claims).rpartition(".")[0] + "."


def _by_the_public_key(liar: Liar) -> Callable[[dict[str, Any]], str]:
    """HS256 with what everybody can read: whoever believes the header's alg takes it for good."""
    pem = liar.key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    key = jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256)

    def sign(claims: dict[str, Any]) -> str:
        body = f"{_part({'alg': 'HS256', 'kid': KID})}.{_part(claims)}"
        signed = base64.urlsafe_b64encode(key.sign(body.encode(), pem)).rstrip(b"=").decode()
        return f"{body}.{signed}"

    return sign


def _stranger(**header: Any) -> Callable[[dict[str, Any]], str]:
    return lambda claims: jwt.encode(
        claims, STRANGER, algorithm="RS256", headers={"kid": KID} | header
    )


def _set(name: str, make: Callable[[Liar], Any]) -> Callable[[Liar], None]:
    return lambda liar: setattr(liar, name, make(liar))


def _claims(**claims: Any) -> Callable[[Liar], None]:
    return _set("claims", lambda liar: claims)


def _discovery(**changed: Any) -> Callable[[Liar], None]:
    return _set("discovery", lambda liar: liar.discovery | changed)


LIES: dict[str, Callable[[Liar], None]] = {
    "alg none": _set("sign", lambda liar: _unsigned),
    "no signature": _set("sign", _signature_cut),
    "HS256 with the public key": _set("sign", _by_the_public_key),
    "another key of the same name": _set("sign", lambda liar: _stranger()),
    "its own key in the header": _set(
        "sign", lambda liar: _stranger(jwk=public(STRANGER, alg="RS256"))
    ),
    "an address of its own keys": _set(
        "sign", lambda liar: _stranger(jku=f"{liar.issuer}/elsewhere", x5u=f"{liar.issuer}/x")
    ),
    "a key that nobody has": _set("sign", lambda liar: lambda c: liar.signed(c, kid="other")),
    "a key for another algorithm": _set("keys", lambda liar: [public(liar.key, alg="PS256")]),
    "a key to encrypt with": _set("keys", lambda liar: [public(liar.key, use="enc")]),
    "two keys of one name": _set("keys", lambda liar: [public(liar.key), public(STRANGER)]),
    "keys that are none": _set("keys", lambda liar: ["x", {}]),
    "no token at all": _set("sign", lambda liar: lambda claims: ""),
    "a token that is none": _set("sign", lambda liar: lambda claims: "a.b.c"),
    "for another client": _claims(aud="another"),
    "for us and another, of nobody": _claims(aud=["t2v", "another"]),
    "for us, asked for by another": _claims(azp="another"),
    "of another issuer": _claims(iss="https://evil.example"),
    "expired": _claims(exp=1_000_000_000),
    "without an end": _claims(exp=None),
    "from the future": _claims(iat=4_000_000_000),
    "with another nonce": _claims(nonce="another"),
    "without a nonce": _claims(nonce=None),
    "of nobody": _claims(sub=None),
    "of somebody without a name": _claims(sub=""),
    "a subject that is a number": _claims(sub=7),
    "user-info of somebody else": _set("info", lambda liar: {"sub": "another"}),
    "it says that it is another": _discovery(issuer="https://evil.example"),
    "it is another, and says so everywhere": lambda liar: liar.__dict__.update(
        discovery=liar.discovery | {"issuer": "https://evil.example"},
        claims={"iss": "https://evil.example"},
    ),
    "it has no keys": _discovery(jwks_uri=None),
    "its keys are a file": _discovery(jwks_uri="file:///etc/passwd"),
    "it is broken": _set("broken", lambda liar: True),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_lie_lets_nobody_in(lie: str, liar: Liar, client: Client) -> None:
    asked = ask(client)
    liar.nonce = asked["nonce"]
    LIES[lie](liar)
    page = come_back(client, state=asked["state"])
    assert page.status_code == 401
    assert "That did not work" in page.content.decode()
    assert not is_in(client)
    assert not User.objects.exists()


@pytest.mark.parametrize("verified", [False, None, "false", 1, "yes"])
def test_an_address_is_verified_when_the_provider_says_just_that(
    verified: Any, liar: Liar, client: Client
) -> None:
    liar.person["email_verified"] = verified
    assert come(liar, client).status_code == 403
    assert not User.objects.exists()


@pytest.mark.parametrize(
    "truth",
    [
        {},
        {"aud": ["t2v"]},
        {"aud": ["t2v", "another"], "azp": "t2v"},
        {"email_verified": "true"},
    ],
)
def test_the_truth_lets_somebody_in(truth: dict[str, Any], liar: Liar, client: Client) -> None:
    """So that each lie above is refused for what it is."""
    liar.claims = truth
    come(liar, client)
    assert is_in(client)


def test_user_info_cannot_change_what_was_signed(liar: Liar, client: Client) -> None:
    liar.info = {"email": "boss@example.com", "iss": "x", "groups": ["artists"]}
    come(liar, client)
    assert [user.email for user in User.objects.all()] == ["new@example.com"]


def test_an_answer_is_good_once_in_the_browser_that_asked(liar: Liar, client: Client) -> None:
    asked = ask(client)
    liar.nonce = asked["nonce"]
    thief = Client()
    for state in (asked["state"], "made up", ""):
        assert come_back(thief, state=state).status_code == 401
    assert not is_in(thief)
    come_back(client, state=asked["state"])
    assert is_in(client)
    assert come_back(client, state=asked["state"]).status_code == 401


def test_the_answer_to_one_question_does_for_no_other(liar: Liar, client: Client) -> None:
    """Somebody else's code and token, put into this browser's sign-in."""
    liar.nonce = ask(Client())["nonce"]
    assert come_back(client, state=ask(client)["state"]).status_code == 401
    assert not is_in(client)


def test_who_turns_back_at_the_provider_reads_so(liar: Liar, client: Client) -> None:
    asked = ask(client)
    query = {"state": asked["state"], "error": "access_denied"}
    page = client.get(BACK, query, follow=True)
    assert "You turned back" in page.content.decode()


def test_a_provider_that_is_away_breaks_no_page(liar: Liar, client: Client) -> None:
    liar.broken = True
    assert "That did not work" in client.post(BEGIN).content.decode()
    assert client.get("/accounts/login/").status_code == 200


def test_a_second_issuers_subject_is_another_person(
    liar: Liar, client: Client, settings: LazySettings
) -> None:
    come(liar, client)
    with lying() as other:
        settings.T2V_OIDC = Provider(
            issuer=other.issuer,
            client_id="t2v",
            client_secret="a secret",
            name="Another login",
            domains=frozenset(),
            claim="groups",
            grants=(),
            only=False,
        )
        settings.SOCIALACCOUNT_PROVIDERS = settings.T2V_OIDC.for_allauth()
        other.person["email"] = "other@example.com"
        come(other, Client())
    assert {user.email for user in User.objects.all()} == {"new@example.com", "other@example.com"}
