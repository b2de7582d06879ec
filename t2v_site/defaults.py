"""Secrets that everybody knows, because they stand in a manual. Pure."""

import ipaddress
from collections.abc import Iterable

# Of MinIO, LocalStack, moto, RustFS, SeaweedFS and Amazon's own examples.
S3_KEYS = frozenset(
    {
        *("minioadmin", "minio", "minio123", "test", "testing", "rustfsadmin", "any", "admin"),
        *("password", "changeme", "secret", "accesskey", "secretkey", "akiaiosfodnn7example"),
        "wjalrxutnfemi/k7mdeng/bpxrficyexamplekey",
    }
)
PASSWORDS = frozenset(
    {
        *("postgres", "postgresql", "password", "passwd", "changeme", "change-me", "secret"),
        *("admin", "root", "t2v", "test", "example", "django", "redis", "default", "123456"),
    }
)


def is_weak_key(key: str) -> bool:
    """Of less than 50 characters, of few different ones, or one of Django's own making."""
    return len(key) < 50 or len(set(key)) < 12 or key.startswith("django-insecure-")


def is_known_password(password: str, *, user: str) -> bool:
    """False for none at all: a certificate, or the machine itself, may speak for the user."""
    return bool(password) and (password.lower() in PASSWORDS or password == user)


def are_known_keys(keys: Iterable[str | None]) -> bool:
    return any(key is not None and key.lower() in S3_KEYS for key in keys)


def is_this_machine(host: str) -> bool:
    """Whether only this machine itself reaches the address or the name."""
    bare = host.strip("[]").lower()
    if bare == "localhost" or bare.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(bare).is_loopback
    except ValueError:
        return False
