"""Somebody's program under /v1, with a token of theirs."""

from typing import Any

from django.test import Client

from accounts import actions as accounts
from accounts.models import User
from accounts.roles import ALL_SCOPES, Scope

PROMPT = "a red circle moving right"


class Customer:
    """Asks as that person, by a token of these scopes (to read and write)."""

    def __init__(self, user: User, *scopes: Scope) -> None:
        self._client = Client(raise_request_exception=False)
        given = scopes or tuple(ALL_SCOPES - {Scope.ADMIN})
        _, self.token = accounts.issue_token(user, name="test", scopes=given)

    def ask(self, method: str, path: str, **options: Any) -> Any:
        headers = {"Authorization": f"Bearer {self.token}"} | options.pop("headers", {})
        return getattr(self._client, method)(path, headers=headers, **options)

    def raw(self, body: str, kind: str) -> Any:
        headers = {"Authorization": f"Bearer {self.token}"}
        return self._client.generic("POST", "/v1/videos", body, content_type=kind, headers=headers)

    def make(self, **fields: Any) -> Any:
        """As JSON."""
        body = {"prompt": PROMPT} | fields
        return self.ask("post", "/v1/videos", data=body, content_type="application/json")

    def form(self, **fields: Any) -> Any:
        """As multipart/form-data."""
        return self.ask("post", "/v1/videos", data={"prompt": PROMPT} | fields)
