"""Reads T2V_* environment variables, loudly: a bad value or an unknown name stops the start."""

import os
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from django.core.exceptions import ImproperlyConfigured

_TRUE, _FALSE = frozenset({"1", "true", "yes", "on"}), frozenset({"0", "false", "no", "off"})
_known: set[str] = set()


def _read(name: str) -> str | None:
    _known.add(name)
    value = os.environ.get(name)
    return value if value else None  # compose files write NAME= for "not set"


def env_str(name: str, default: str) -> str:
    value = _read(name)
    return default if value is None else value


def env_choice(name: str, default: str, *, choices: tuple[str, ...]) -> str:
    value = env_str(name, default)
    if value not in choices:
        raise ImproperlyConfigured(f"{name} is {value!r}; it can be {', '.join(choices)}.")
    return value


def env_bool(name: str, default: bool) -> bool:
    value = _read(name)
    if value is None:
        return default
    if value.lower() in _TRUE:
        return True
    if value.lower() in _FALSE:
        return False
    raise ImproperlyConfigured(f"{name} is {value!r}; it can be 1 or 0 (true, false, yes, no).")


def env_int(name: str, default: int, *, at_least: int, at_most: int) -> int:
    value = _read(name)
    if value is None:
        return default
    try:
        number = int(value)
    except ValueError:
        raise ImproperlyConfigured(f"{name} is {value!r}; it must be a whole number.") from None
    if not at_least <= number <= at_most:
        raise ImproperlyConfigured(f"{name} is {number}; it goes from {at_least} to {at_most}.")
    return number


def env_list(name: str) -> list[str]:
    """Values divided by commas, without the empty ones."""
    return [part.strip() for part in env_str(name, "").split(",") if part.strip()]


def env_secret(name: str) -> str | None:
    """NAME, or the content of the file that NAME_FILE points to; never both."""
    value, file = _read(name), _read(f"{name}_FILE")
    if value is not None and file is not None:
        raise ImproperlyConfigured(f"Set {name} or {name}_FILE, not both.")
    if file is None:
        return value
    try:
        return Path(file).read_text(encoding="utf-8").strip()
    except OSError as error:
        raise ImproperlyConfigured(
            f"{name}_FILE cannot be read: {error.strerror or error}."
        ) from error


def env_url(name: str, value: str, *, schemes: tuple[str, ...]) -> SplitResult:
    """The parts of a URL that was read from NAME; its secrets never show in the error."""
    try:
        parts = urlsplit(value)
        port_is_fine = parts.port is None or parts.port > 0
    except ValueError:
        parts, port_is_fine = urlsplit(""), False
    if parts.scheme not in schemes or not parts.hostname or not port_is_fine:
        accepted = " or ".join(f"{scheme}://host" for scheme in schemes)
        raise ImproperlyConfigured(f"{name} must look like {accepted}.")
    return parts


def refuse_unknown() -> None:
    """Raises ImproperlyConfigured for T2V_* names that nothing reads: most are typing errors."""
    unknown = sorted(name for name in os.environ if name.startswith("T2V_") and name not in _known)
    if unknown:
        raise ImproperlyConfigured(
            f"Unknown setting {', '.join(unknown)}; docs/reference/settings.md lists them all."
        )
