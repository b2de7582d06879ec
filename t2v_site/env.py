"""Reads T2V_* environment variables, loudly: a bad value or an unknown name stops the start."""

import os
import re
import tomllib
from decimal import Decimal, InvalidOperation
from importlib.util import find_spec
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from django.core.exceptions import ImproperlyConfigured
from limits import RateLimitItem, parse

_TRUE, _FALSE = frozenset({"1", "true", "yes", "on"}), frozenset({"0", "false", "no", "off"})
# Of the command line (t2v_cli), which people also run beside a site.
_known: set[str] = {"T2V_SITE", "T2V_TOKEN"}


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


def env_price(name: str, default: str) -> Decimal:
    """An amount of money, from 0 to a million."""
    value = env_str(name, default)
    try:
        price = Decimal(value)
    except InvalidOperation:
        price = Decimal("NaN")
    if not price.is_finite() or not 0 <= price <= 1_000_000:
        raise ImproperlyConfigured(f"{name} is {value!r}; it must be an amount like 0.00055.")
    return price


def env_rate(name: str, default: str) -> RateLimitItem:
    """So many in a time: 120/minute, 10/second, 5000/hour."""
    value = env_str(name, default)
    if match := re.fullmatch(r"([1-9]\d{0,6})/(second|minute|hour)", value):
        return parse(f"{match[1]}/{match[2]}")
    raise ImproperlyConfigured(
        f"{name} is {value!r}; it must look like 120/minute (or /second, /hour)."
    )


def env_list(name: str) -> list[str]:
    """Values divided by commas, without the empty ones."""
    return [part.strip() for part in env_str(name, "").split(",") if part.strip()]


def env_networks(name: str, default: str) -> tuple[IPv4Network | IPv6Network, ...]:
    """Networks divided by commas, as 10.0.0.0/8; one address is a network of one; none: "none"."""
    parts = env_list(name) or default.split(",")
    if parts == ["none"]:
        return ()
    try:
        return tuple(ip_network(part) for part in parts)
    except ValueError as error:
        raise ImproperlyConfigured(f"{name}: {error}; write it as 10.0.0.0/8.") from None


def version_of(project: Path) -> str:
    """As its pyproject.toml says; where only the packages were copied, "unknown"."""
    try:
        return str(tomllib.loads(project.read_text(encoding="utf-8"))["project"]["version"])
    except FileNotFoundError:
        return "unknown"


def env_secret(name: str) -> str | None:
    """NAME, or the content of the file that NAME_FILE points to; never both. Empty is not set."""
    value, file = _read(name), _read(f"{name}_FILE")
    if value is not None and file is not None:
        raise ImproperlyConfigured(f"Set {name} or {name}_FILE, not both.")
    if file is None:
        return value
    try:
        return Path(file).read_text(encoding="utf-8").strip() or None
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


def is_installed(*modules: str) -> bool:
    """Whether all of an extra's modules are there; nothing but their packages is loaded."""
    try:
        return all(find_spec(module) is not None for module in modules)
    except ModuleNotFoundError:  # of a package above it
        return False


def refuse_unknown() -> None:
    """Raises ImproperlyConfigured for T2V_* names that nothing reads: most are typing errors."""
    unknown = sorted(name for name in os.environ if name.startswith("T2V_") and name not in _known)
    if unknown:
        raise ImproperlyConfigured(
            f"Unknown setting {', '.join(unknown)}; docs/reference/settings.md lists them all."
        )
