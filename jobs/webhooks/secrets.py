"""What deliveries are signed with: made here, kept encrypted, shown to its owner once.

It must be known to sign with, so no digest will do. The key comes from T2V_SECRET_KEY: a copy of
the database alone tells nobody a secret.
"""

import base64
import secrets
from collections.abc import Sequence
from datetime import datetime
from functools import cache

from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings
from standardwebhooks import Webhook

PREFIX = "whsec_"
SECRET_BYTES = 32  # Standard Webhooks: 24 to 64
HINT_CHARS = 4
_PURPOSE = b"t2v webhook secrets 1"


class Unreadable(Exception):
    """It was kept under another T2V_SECRET_KEY."""


def new() -> str:
    return PREFIX + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()


def hint(secret: str) -> str:
    """Enough to tell one from another, of no use to sign with."""
    return f"{PREFIX}…{secret.rstrip('=')[-HINT_CHARS:]}"


@cache
def _box(key: str) -> Fernet:
    derived = HKDF(algorithm=SHA256(), length=32, salt=None, info=_PURPOSE).derive(key.encode())
    return Fernet(base64.urlsafe_b64encode(derived))


def seal(secret: str) -> str:
    return _box(settings.SECRET_KEY).encrypt(secret.encode()).decode()


def unseal(sealed: str) -> str:
    """Raises Unreadable."""
    try:
        return _box(settings.SECRET_KEY).decrypt(sealed.encode()).decode()
    except InvalidToken as error:
        raise Unreadable from error


def signature(keys: Sequence[str], *, message: str, at: datetime, body: str) -> str:
    """The header webhook-signature: one for each key, so that a rotation interrupts nothing.

    at must be in UTC: the library reads the clock's face, whatever its zone.
    """
    assert at.tzinfo is not None
    assert not at.utcoffset(), "the library takes every time for UTC"
    return " ".join(Webhook(key).sign(message, at, body) for key in keys)
