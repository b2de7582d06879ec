"""What every answer says to the browser, and how long a session lives."""

import logging
import re
import time
from collections.abc import Iterator
from typing import Any

import pytest
import time_machine
from allauth.account.models import EmailAddress
from allauth.core.internal.httpkit import get_client_ip
from django.conf import LazySettings
from django.contrib.sessions.models import Session
from django.test import Client, RequestFactory
from django.urls import URLPattern, URLResolver, get_resolver

from accounts.models import User
from accounts.sessions import credential_of
from conftest import PASSWORD
from t2v_site.requests import address_of, id_of


def _routes(resolver: Any, before: str = "/") -> Iterator[str]:
    """Every address without a variable part, the admin's and allauth's too."""
    for each in resolver.url_patterns:
        path = before + str(each.pattern).removeprefix("^").removesuffix("$").removesuffix("\\Z")
        if isinstance(each, URLResolver):
            yield from _routes(each, path)
        elif isinstance(each, URLPattern) and not re.search(r"[<(\\?*]", path):
            yield path


ROUTES = sorted(set(_routes(get_resolver())))
ALWAYS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "X-Frame-Options": "DENY",
    "Strict-Transport-Security": "max-age=31536000; includeSubDomains",
}
DIRECTIVES = {
    "default-src 'self'",
    "object-src 'none'",
    "base-uri 'none'",
    "frame-ancestors 'none'",
    "form-action 'self'",
}


def test_every_answer_has_the_headers_and_no_private_page_is_kept(
    olga: User, settings: LazySettings
) -> None:
    settings.SECURE_HSTS_SECONDS, settings.SECURE_HSTS_INCLUDE_SUBDOMAINS = 31_536_000, True
    assert len(ROUTES) > 60
    signed_in, seen = Client(), set[str]()
    signed_in.force_login(olga)
    faults = []
    for path in [*ROUTES, "/no/such/page", "/api/v1/no-such", "/v1/no-such"]:
        for who, client in (("nobody", Client()), ("olga", signed_in)):
            if who == "olga" and ("logout" in path or "events" in path):
                continue  # it would sign out; it would close the tests' own connection
            answer: Any = client.get(path, secure=True)
            if answer.streaming:
                answer.close()
            wrong = [name for name, value in ALWAYS.items() if answer.get(name) != value]
            policy = {part.strip() for part in answer["Content-Security-Policy"].split(";")}
            wrong += sorted(DIRECTIVES - policy)
            wrong += ["unsafe"] * ("unsafe-inline" in answer["Content-Security-Policy"])
            wrong += ["id"] * (not re.fullmatch(r"(req_)?[0-9a-f]{32}", answer["X-Request-ID"]))
            wrong += ["camera"] * ("camera=()" not in answer["Permissions-Policy"])
            page = answer.get("Content-Type", "").startswith("text/html")
            if page and who == "olga" and "no-store" not in answer.get("Cache-Control", ""):
                wrong.append("Cache-Control")
            seen.add(answer["X-Request-ID"])
            if wrong:
                faults.append((path, who, answer.status_code, wrong))
    assert faults == []
    assert len(seen) > len(ROUTES)


def test_a_nonce_is_new_for_every_page(client: Client) -> None:
    request = RequestFactory().get("/")
    assert not hasattr(request, "csp_nonce")
    # Nothing of ours has a script in its text: a policy names a nonce only where a page has one.
    assert "nonce-" not in client.get("/")["Content-Security-Policy"]


@pytest.mark.parametrize(
    ("remote", "forwarded", "proxies", "address"),
    [
        ("10.0.0.1", "", 0, "10.0.0.1"),
        ("10.0.0.1", "6.6.6.6", 0, "10.0.0.1"),
        ("10.0.0.1", "6.6.6.6, 9.9.9.9", 1, "9.9.9.9"),
        ("10.0.0.1", "6.6.6.6, 9.9.9.9,10.0.0.2", 2, "9.9.9.9"),
        ("10.0.0.1", "", 1, "10.0.0.1"),
        ("10.0.0.1", "9.9.9.9:4711", 1, "9.9.9.9"),
        ("10.0.0.1", "[2001:db8::1]:4711", 1, "2001:db8::1"),
        ("2001:db8::2", "2001:DB8:0::1", 1, "2001:db8::1"),
        ("10.0.0.1", "unknown", 1, None),
    ],
)
def test_an_address_is_what_our_own_proxies_saw_and_the_same_as_for_sign_ins(
    remote: str, forwarded: str, proxies: int, address: str | None, settings: LazySettings
) -> None:
    assert address_of(remote, forwarded, proxies) == address
    settings.ALLAUTH_TRUSTED_PROXY_COUNT = proxies
    headers = {"X-Forwarded-For": forwarded} if forwarded else {}
    request = RequestFactory(headers=headers, REMOTE_ADDR=remote).get("/")
    assert get_client_ip(request) == address


@pytest.mark.parametrize(
    ("remote", "forwarded", "proxies", "address"),
    [("", "", 0, None), ("10.0.0.1", "9.9.9.9", 2, "10.0.0.1"), ("fe80::1%eth0", "", 0, "fe80::1")],
)
def test_a_list_that_is_too_short_is_not_believed(
    remote: str, forwarded: str, proxies: int, address: str | None
) -> None:
    assert address_of(remote, forwarded, proxies) == address


@pytest.mark.parametrize(
    ("given", "proxies", "kept"),
    [
        ("0af7651916cd43dd8448eb211c80319c", 1, True),
        ("0af7651916cd43dd8448eb211c80319c", 0, False),
        ("short", 1, False),
        ("a" * 65, 1, False),
        ("abcdefgh\r\nX: y", 1, False),
        ("<script>alert(1)</script>", 1, False),
    ],
)
def test_an_id_from_outside_is_kept_only_from_our_own_proxy(
    given: str, proxies: int, kept: bool
) -> None:
    assert (id_of(given, proxies) == given) is kept
    assert re.fullmatch(r"[A-Za-z0-9-]{8,64}", id_of(given, proxies))


@pytest.mark.parametrize("path", ["/api/v1/me", "/settings/tokens", "/v1/models"])
def test_an_error_of_ours_shows_an_id_and_nothing_else(
    path: str, alice: User, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    secret = "the password is hunter2"

    def broken(*_: Any, **__: Any) -> None:
        raise ValueError(secret)

    monkeypatch.setattr("rest_framework.views.APIView.initial", broken)
    monkeypatch.setattr("accounts.pages.render", broken)
    client = Client(raise_request_exception=False)
    client.force_login(alice)
    with caplog.at_level(logging.ERROR):
        answer = client.get(path)
    assert answer.status_code == 500
    text = answer.content.decode()
    assert not re.search(r"hunter2|Traceback|ValueError|\.py", text)
    if not path.startswith("/v1/"):
        assert answer["X-Request-ID"] in text
    assert secret in caplog.text  # the log has it


def _expiry(client: Client) -> float:
    key = client.cookies[next(name for name in client.cookies if "csrf" not in name)].value
    return Session.objects.get(session_key=key).expire_date.timestamp()


def test_a_session_ends_without_use_and_ends_in_all(alice: User, settings: LazySettings) -> None:
    settings.SESSION_COOKIE_AGE, settings.T2V_SESSION_SECONDS = 3600, 9000
    start = time.time()
    with time_machine.travel(start, tick=False) as clock:
        client = Client()
        client.force_login(alice)
        key = client.session.session_key
        client.get("/")
        assert _expiry(client) == pytest.approx(start + 3600, abs=2)
        clock.shift(200)
        client.get("/")  # so soon it is not written again
        assert _expiry(client) == pytest.approx(start + 3600, abs=2)
        clock.shift(3000)
        client.get("/")
        assert _expiry(client) == pytest.approx(start + 3200 + 3600, abs=2)
        clock.shift(3000)
        client.get("/")  # in use, and yet no longer than its end
        assert _expiry(client) == pytest.approx(start + 9000, abs=2)
        clock.shift(2900)
        assert client.get("/settings/tokens").status_code == 302
        assert credential_of(key) is None  # nor does it open a socket
    with time_machine.travel(start, tick=False) as clock:
        client = Client()
        client.force_login(alice)
        client.get("/")
        clock.shift(3601)
        assert client.get("/settings/tokens").status_code == 302


def test_a_session_has_a_new_key_at_sign_in_and_opens_nothing_after_sign_out(alice: User) -> None:
    EmailAddress.objects.create(user=alice, email=alice.email, verified=True, primary=True)
    client = Client()
    client.get("/accounts/login/")
    planted = client.session
    planted["x"] = 1
    planted.save()
    cookie = next(name for name in client.cookies if "csrf" not in name)
    before = client.cookies[cookie].value
    client.post("/accounts/login/", {"login": alice.email, "password": PASSWORD})
    signed_in = client.cookies[cookie].value
    assert signed_in != before
    assert client.get("/settings/tokens").status_code == 200
    assert client.cookies[cookie]["httponly"]
    assert client.cookies[cookie]["samesite"] == "Lax"
    client.post("/accounts/logout/")
    client.cookies[cookie] = signed_in
    assert client.get("/settings/tokens").status_code == 302
