"""Tokens: shown once, kept as a digest, good for their scopes, gone at once."""

import json
from collections.abc import Callable
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db.models.functions import Now
from django.test import Client

from accounts import actions
from accounts.errors import BadFields, TooManyTokens
from accounts.models import Answer, ApiToken, Membership, User, Workspace
from accounts.roles import Role, Scope
from accounts.sessions import Standing, standing, token_credential, user_of
from conftest import sign_in

READ, WRITE, ADMIN = Scope.JOBS_READ, Scope.JOBS_WRITE, Scope.ADMIN
Call = Callable[..., Any]


@pytest.fixture
def call(client: Client) -> Call:
    """Calls the API with a token and without cookies."""

    def _call(
        token: str, method: str, path: str, body: object = None, **headers: str
    ) -> tuple[int, Any]:
        answer = client.generic(
            method,
            path,
            b"" if body is None else json.dumps(body),
            content_type="application/json",
            headers={"Authorization": f"Bearer {token}", **headers},
        )
        return answer.status_code, json.loads(answer.content or b"null")

    return _call


def token_of(user: User, *scopes: Scope, **given: Any) -> str:
    return actions.issue_token(user, name="a script", scopes=scopes, **given)[1]


def test_only_a_digest_of_a_token_is_kept(alice: User) -> None:
    row, token = actions.issue_token(alice, name="a script", scopes=[READ])
    assert token.startswith(actions.TOKEN_PREFIX)
    stored = str(ApiToken.objects.values().get())
    assert token not in stored
    assert len(row.digest) == 128
    # What is shown of it in lists tells 11 of its 64 digits.
    assert row.token_key == token[:15]


def test_a_token_is_shown_once_also_in_a_repeated_answer(
    alice: User, client: Client, call: Call
) -> None:
    sign_in(client, alice)
    body = json.dumps({"name": "a script", "scopes": ["jobs:read"]})

    def post() -> dict[str, Any]:
        answer = client.post(
            "/api/v1/tokens",
            body,
            content_type="application/json",
            headers={"Idempotency-Key": "once"},
        )
        assert answer.status_code == 201
        shape: dict[str, Any] = answer.json()
        return shape

    first, second = post(), post()
    assert call(first["token"], "GET", "/api/v1/me")[0] == 200
    assert second == {**first, "token": None}
    assert ApiToken.objects.count() == 1
    assert first["token"] not in str(list(Answer.objects.values()))


@pytest.mark.parametrize(
    ("scopes", "expected"),
    [((READ,), (200, 403)), ((WRITE,), (200, 201)), ((ADMIN,), (403, 403))],
)
def test_a_token_does_what_its_scopes_say(
    scopes: tuple[Scope, ...], expected: tuple[int, int], olga: User, call: Call
) -> None:
    token = token_of(olga, *scopes)
    seen = call(token, "GET", "/api/v1/jobs")
    made = call(token, "POST", "/api/v1/jobs", {"prompt": "a red circle moving right"})
    assert (seen[0], made[0]) == expected
    for status, body in (seen, made):
        assert status != 403 or body["code"] == "insufficient_scope"


def test_an_operators_token_reaches_others_jobs_only_with_the_scope_admin(
    olga: User, submit: Callable[..., Any], call: Call
) -> None:
    job = submit()
    for scopes, status in (((READ, WRITE), 404), ((READ, WRITE, ADMIN), 200)):
        token = token_of(olga, *scopes)
        assert call(token, "GET", f"/api/v1/jobs/{job.pk}")[0] == status
        assert call(token, "POST", f"/api/v1/jobs/{job.pk}/cancel")[0] == status


def test_one_may_see_and_not_cancel_what_the_token_is_only_to_look_at(
    alice: User, submit: Callable[..., Any], call: Call
) -> None:
    job, token = submit(), token_of(alice, READ)
    assert call(token, "GET", f"/api/v1/jobs/{job.pk}")[0] == 200
    status, body = call(token, "POST", f"/api/v1/jobs/{job.pk}/cancel")
    assert (status, body["code"]) == (403, "insufficient_scope")
    job.refresh_from_db()
    assert job.state == "queued"


def _revoke(row: ApiToken) -> None:
    actions.revoke_token(row)


def _expire(row: ApiToken) -> None:
    ApiToken.objects.filter(pk=row.pk).update(expiry=Now() - timedelta(seconds=1))


def _deactivate(row: ApiToken) -> None:
    User.objects.filter(pk=row.user_id).update(is_active=False)


@pytest.mark.parametrize("end", [_revoke, _expire, _deactivate])
def test_a_token_that_ended_opens_nothing(
    end: Callable[[ApiToken], None], alice: User, call: Call
) -> None:
    row, token = actions.issue_token(alice, name="a script", scopes=[READ])
    credential = token_credential(row)
    ticket = actions.issue_ticket(credential)
    assert standing(credential) is Standing.GOOD
    assert call(token, "GET", "/api/v1/me")[0] == 200
    end(row)
    status, body = call(token, "GET", "/api/v1/me")
    assert (status, body["code"]) == (401, "authentication_failed")
    assert standing(credential) is not Standing.GOOD
    assert actions.redeem_ticket(ticket) is None


@pytest.mark.parametrize(
    "header",
    [
        "Bearer t2v_" + "0" * 64,
        "Bearer t2v_",
        "Bearer t2v_ü",
        "Bearer t2v_ x",
        "Bearer",
        "Bearer x y",
        "Basic YWxpY2U6eA==",
        "Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiIxIn0.",
        "t2v_" + "0" * 64,
    ],
)
def test_a_header_of_nobody_is_401_even_beside_a_good_cookie(
    header: str, alice: User, client: Client
) -> None:
    client.force_login(alice)
    answer = client.get("/api/v1/me", headers={"Authorization": header})
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")


def test_nobody_is_401_with_a_challenge(db: None, client: Client) -> None:
    answer = client.get("/api/v1/me")
    assert (answer.status_code, answer.json()["code"]) == (401, "not_authenticated")
    assert answer.headers["WWW-Authenticate"] == "Bearer"


def test_the_use_of_a_token_is_told_to_the_minute(
    alice: User, call: Call, django_assert_num_queries: Any
) -> None:
    row, token = actions.issue_token(alice, name="a script", scopes=[READ])
    assert call(token, "GET", "/api/v1/me")[0] == 200
    first = ApiToken.objects.get(pk=row.pk).last_used_at
    assert first is not None
    with django_assert_num_queries(1):  # a look at the token and its owner, and no write
        call(token, "GET", "/api/v1/models")
    ApiToken.objects.update(last_used_at=Now() - timedelta(minutes=2))
    call(token, "GET", "/api/v1/me")
    assert ApiToken.objects.get(pk=row.pk).last_used_at >= first


def test_a_lost_token_makes_no_other_ones_but_may_end_itself(alice: User, call: Call) -> None:
    token, other = token_of(alice, READ, WRITE), actions.issue_token(alice, name="b", scopes=[READ])
    body = {"name": "c", "scopes": ["jobs:read"]}
    assert call(token, "GET", "/api/v1/tokens")[0] == 403
    assert call(token, "POST", "/api/v1/tokens", body)[0] == 403
    assert call(token, "DELETE", f"/api/v1/tokens/{other[0].token_key}")[0] == 403
    assert call(token, "DELETE", f"/api/v1/tokens/{token[:15]}")[0] == 204
    assert call(token, "GET", "/api/v1/me")[0] == 401
    assert list(ApiToken.objects.all()) == [other[0]]


@pytest.mark.parametrize("scope", Scope)
def test_a_token_says_what_it_is_for_and_ends_itself_whatever_that_is(
    scope: Scope, olga: User, call: Call
) -> None:
    row, token = actions.issue_token(olga, name="a script", scopes=[scope])
    other = actions.issue_token(olga, name="b", scopes=[READ])[0]
    status, me = call(token, "GET", "/api/v1/me")
    assert status == 200
    assert scope in me["scopes"]
    ends_others = call(token, "DELETE", f"/api/v1/tokens/{other.token_key}")[0]
    assert ends_others == (204 if scope is ADMIN else 403)
    assert call(token, "DELETE", f"/api/v1/tokens/{row.token_key}")[0] == 204
    assert call(token, "GET", "/api/v1/me")[0] == 401


def test_somebody_elses_token_is_not_there(alice: User, bob: User, client: Client) -> None:
    row, _ = actions.issue_token(alice, name="a script", scopes=[READ])
    sign_in(client, bob)
    assert client.delete(f"/api/v1/tokens/{row.token_key}").status_code == 404
    assert client.post(f"/settings/tokens/{row.token_key}/revoke").status_code == 404
    assert client.get("/api/v1/tokens").json() == {"results": []}
    assert client.delete("/api/v1/tokens/%00").status_code == 404
    assert ApiToken.objects.exists()


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"name": " "}, "name"),
        ({"name": "x" * 101}, "name"),
        ({"name": "a\nb"}, "name"),
        ({"scopes": []}, "scopes"),
        ({"scopes": ["jobs:read", "jobs:all"]}, "scopes"),
        ({"expires_in": timedelta(0)}, "expires_in_days"),
        ({"expires_in": timedelta(days=3651)}, "expires_in_days"),
    ],
)
def test_a_token_that_makes_no_sense_is_refused_by_its_field(
    given: dict[str, Any], field: str, alice: User
) -> None:
    with pytest.raises(BadFields) as refused:
        actions.issue_token(alice, **{"name": "a script", "scopes": [READ], **given})
    assert list(refused.value.fields) == [field]
    assert not ApiToken.objects.exists()


def test_one_person_has_a_bounded_number_of_tokens(alice: User, bob: User) -> None:
    for _ in range(actions.MAX_TOKENS):
        token_of(alice, READ)
    with pytest.raises(TooManyTokens):
        token_of(alice, READ)
    assert token_of(bob, READ)


def test_an_expired_token_is_forgotten_after_a_month(alice: User) -> None:
    old, young = (actions.issue_token(alice, name=n, scopes=[READ])[0] for n in ("a", "b"))
    for row, days in ((old, 31), (young, 29)):
        ApiToken.objects.filter(pk=row.pk).update(expiry=Now() - timedelta(days=days))
    assert actions.forget_expired_tokens() == 1
    assert list(ApiToken.objects.all()) == [young]


def test_the_command_prints_the_token_and_nothing_else(alice: User, call: Call) -> None:
    out = StringIO()
    call_command("token", alice.email, "--name", "a script", "--scopes", "jobs:read", stdout=out)
    token = out.getvalue().removesuffix("\n")
    assert token.isprintable()
    status, told = call(token, "GET", "/api/v1/me")
    (place,) = told.pop("workspaces")
    assert (status, place["role"], place["current"]) == (200, "owner", True)
    assert told == {
        "email": alice.email,
        "name": "",
        "role": "member",
        "scopes": ["jobs:read"],
        "token": "a script",
    }


@pytest.mark.parametrize(
    "arguments",
    [
        ["nobody@example.com", "--name", "x"],
        ["alice@example.com", "--name", "x", "--scopes", "all"],
        ["alice@example.com", "--name", "x", "--days", "0"],
    ],
)
def test_the_command_says_what_is_wrong_and_makes_nothing(
    arguments: list[str], alice: User
) -> None:
    out = StringIO()
    with pytest.raises(CommandError):
        call_command("token", *arguments, stdout=out)
    assert out.getvalue() == ""
    assert not ApiToken.objects.exists()


def test_a_jwt_is_the_second_way_and_ends_with_its_session(
    alice: User, client: Client, call: Call
) -> None:
    answer = client.post(
        "/_allauth/app/v1/auth/login",
        {"email": alice.email, "password": "correct horse battery"},
        content_type="application/json",
    )
    assert answer.status_code == 200
    meta = answer.json()["meta"]
    client.cookies.clear()
    jwt = meta["access_token"]
    assert call(jwt, "GET", "/api/v1/me")[1]["scopes"] == [scope.value for scope in Scope]
    assert call(jwt, "POST", "/api/v1/live/tickets")[0] == 201
    signed, _, signature = jwt.rpartition(".")  # its last characters hold bits that nobody reads
    forged = f"{signed}.{'B' if signature[0] == 'A' else 'A'}{signature[1:]}"
    assert call(forged, "GET", "/api/v1/me")[0] == 401
    gone = client.delete(
        "/_allauth/app/v1/auth/session", headers={"X-Session-Token": meta["session_token"]}
    )
    assert gone.status_code == 401  # signed out, says allauth
    assert call(jwt, "GET", "/api/v1/me")[0] == 401


def test_the_page_shows_a_new_token_once_and_revokes_it(alice: User, client: Client) -> None:
    sign_in(client, alice)
    page = client.post(
        "/settings/tokens", {"name": "my script", "scopes": ["jobs:read"], "expires_in_days": "30"}
    )
    assert page.status_code == 201
    token = page.context["fresh"]
    assert token.encode() in page.content
    assert "no-store" in page.headers["Cache-Control"]
    again = client.get("/settings/tokens")
    assert token.encode() not in again.content
    assert b"my script" in again.content
    row = ApiToken.objects.get()
    gone = client.post(f"/settings/tokens/{row.token_key}/revoke")
    assert gone.status_code == 302
    assert not ApiToken.objects.exists()


def test_the_page_offers_the_scope_admin_to_those_whose_role_gives_them_something(
    alice: User, olga: User, client: Client
) -> None:
    Membership.objects.update(role=Role.CREATOR)
    for user, offered in ((alice, False), (olga, True)):
        sign_in(client, user)
        assert (b'value="admin"' in client.get("/settings/tokens").content) is offered
    sign_in(client, alice)
    assert client.post("/settings/tokens", {"name": "x", "scopes": ["admin"]}).status_code == 400
    assert not ApiToken.objects.exists()


def test_admin_is_for_tokens_of_those_whose_role_gives_them_something(
    bob: User, workspace: Workspace, join: Callable[[User, Role], None]
) -> None:
    join(bob, Role.CREATOR)
    with pytest.raises(BadFields) as refused:
        actions.issue_token(bob, name="x", scopes=["admin"], workspace=workspace)
    assert list(refused.value.fields) == ["scopes"]
    Membership.objects.filter(user=bob, workspace=workspace).update(role=Role.MANAGER)
    bob.__dict__.pop("memberships")
    token, _ = actions.issue_token(bob, name="x", scopes=["admin"], workspace=workspace)
    assert token.workspace == workspace


def test_a_token_of_one_workspace_is_good_in_that_one_only(
    bob: User, workspace: Workspace, join: Callable[[User, Role], None]
) -> None:
    join(bob, Role.VIEWER)
    own = next(iter(bob.memberships))
    assert set(bob.memberships) == {own, workspace.pk}
    token, _ = actions.issue_token(bob, name="x", scopes=["jobs:read"], workspace=workspace)
    user = user_of(token_credential(token))
    assert user is not None
    assert user.memberships == {workspace.pk: Role.VIEWER}


def test_nobody_makes_a_token_for_a_workspace_that_they_are_not_in(
    charlie: User, workspace: Workspace
) -> None:
    with pytest.raises(BadFields) as refused:
        actions.issue_token(charlie, name="x", scopes=["jobs:read"], workspace=workspace)
    assert list(refused.value.fields) == ["workspace"]
