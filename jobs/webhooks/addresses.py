"""To which addresses a delivery may go: https on port 443 of the public internet.

A person chooses the URL and the site sends from inside its own network, so what is let through is
listed, not what is refused. The host's name is looked up at each sending and the connection goes to
the very address that was checked (sending.py).
"""

import ipaddress
import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from django.conf import settings

LONGEST_URL = 2000  # characters
_NAME = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)(\.(?!-)[a-z0-9_-]{1,63}(?<!-))*\.?")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_PLAIN = re.compile(r"[!-~]+")  # printable ASCII without the space
_PORTS = {"https": 443, "http": 80}

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_UNICAST = ipaddress.ip_network("2000::/3")  # all of IPv6 that is given out; no NAT64, no ::/96
# What Python 3.11 takes for global and leads into some network behind: 6to4 and its relays,
# Teredo, protocols' own (192.0.0.192 tells machines of one cloud their keys), examples.
_ELSEWHERE = tuple(
    ipaddress.ip_network(net)
    for net in (
        "192.0.0.0/24",
        "192.88.99.0/24",
        "2001::/23",
        "2001:db8::/32",
        "2002::/16",
        "3fff::/20",
    )
)


class Refused(Exception):
    """Nothing may be sent there; the text says why, for the endpoint's owner."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    url: str
    host: str  # lower case, without brackets
    port: int
    private: bool  # named in T2V_WEBHOOK_PRIVATE_HOSTS: whatever its address is


def check(url: str) -> Target:
    """Raises Refused for all that no lookup is needed for."""
    if len(url) > LONGEST_URL:
        raise Refused(f"At most {LONGEST_URL} characters.")
    if not _PLAIN.fullmatch(url) or "\\" in url:
        raise Refused("Only printable ASCII; write other characters %-encoded, names in punycode.")
    try:
        parts = urlsplit(url)
        host, port = (parts.hostname or "").lower(), parts.port
    except ValueError as error:
        raise Refused("This is no URL.") from error
    if parts.scheme not in _PORTS or not host:
        raise Refused("Write https://host/path.")
    if "@" in parts.netloc:
        raise Refused("Leave out the user name and password: every delivery is signed.")
    if "#" in url:
        raise Refused("Leave out what follows the #: it is never sent.")
    target = Target(
        url=url,
        host=host,
        port=_PORTS[parts.scheme] if port is None else port,
        private=_is_private(host, port),
    )
    if not target.private:
        _check_public(parts.scheme, target)
    return target


def _is_private(host: str, port: int | None) -> bool:
    name = f"[{host}]" if ":" in host else host
    wanted = name if port is None else f"{name}:{port}"
    return wanted in settings.T2V_WEBHOOK_PRIVATE_HOSTS


def _check_public(scheme: str, target: Target) -> None:
    if scheme != "https":
        raise Refused("Only https.")
    if target.port != 443:
        raise Refused("Only port 443.")
    literal = as_literal(target.host)
    if literal is not None:
        check_address(literal)
    elif _NUMBER.fullmatch(target.host.rstrip(".").rpartition(".")[2]):
        # 2130706433, 0x7f.1 and 0177.0.0.1 are 127.0.0.1 to the C library.
        raise Refused("Write an IPv4 address as four decimal numbers.")
    elif not _NAME.fullmatch(target.host):
        raise Refused("This is no host name.")


def as_literal(host: str) -> Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def check_address(address: Address) -> None:
    """Raises Refused unless everybody on the internet would reach the same machine by it."""
    public = address.is_global and not (address.is_multicast or address.is_reserved)
    if isinstance(address, ipaddress.IPv6Address):  # IPv4 in IPv6 is not of this part
        public = public and address in _UNICAST and address.scope_id is None
    if not public or any(address in net for net in _ELSEWHERE if net.version == address.version):
        raise Refused(f"{address} is no public address.")
