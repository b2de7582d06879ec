"""Writes down who did what, in the transaction that does it (docs/reference/audit.md)."""

import json

from django.db import connection

from accounts import origin
from accounts.models import User, Workspace

MOST_SUBJECT = 254  # characters, as the column
MOST_DATA = 12  # values of one entry
MOST_VALUE = 300  # characters of one

# One trip, at a third of what the ORM takes to write it. A workspace that came as a number is
# looked up by the same statement.
_INSERT = """
INSERT INTO accounts_auditentry
    (verb, actor_id, actor, workspace_id, workspace, subject, via, address, request_id, data)
VALUES (%(verb)s, %(actor_id)s, %(actor)s, %(workspace_id)s,
    coalesce(%(slug)s, (SELECT slug FROM accounts_workspace WHERE id = %(workspace_id)s), ''),
    %(subject)s, %(via)s, %(address)s, %(request_id)s, %(data)s)
"""


def record(
    verb: str,
    *,
    actor: User | None,
    workspace: Workspace | int | None = None,
    subject: str = "",
    **data: str | int | bool,
) -> None:
    """verb: as in docs/reference/audit.md, like member.invited. data: no secret, no prompt.

    Undone with the transaction that it stands in: what did not happen is not told.
    """
    came, whole = origin.current(), workspace if isinstance(workspace, Workspace) else None
    by_session = actor is not None and came.via == "anonymous"
    assert len(data) <= MOST_DATA
    values = {
        "verb": verb,
        "actor_id": None if actor is None else actor.pk,
        "actor": "" if actor is None else actor.email,
        "workspace_id": workspace.pk if isinstance(workspace, Workspace) else workspace,
        "slug": None if whole is None else whole.slug,
        "subject": _kept(subject, MOST_SUBJECT),
        "via": "session" if by_session else came.via,
        "address": came.address,
        "request_id": came.request_id,
        "data": json.dumps(
            {
                name: _kept(value, MOST_VALUE) if isinstance(value, str) else value
                for name, value in data.items()
            }
        ),
    }
    with connection.cursor() as cursor:
        cursor.execute(_INSERT, values)


def _kept(text: str, most: int) -> str:
    """What Postgres can keep of it: no NUL, no half of a character."""
    return (
        text[:most].replace("\x00", "\N{REPLACEMENT CHARACTER}").encode(errors="replace").decode()
    )
