"""Where a site is, and whether a token may go there. Pure."""

import ipaddress
from urllib.parse import urlsplit

from t2v_cli.failures import Code, Failure

HERE = "http://127.0.0.1:8000"  # where `make run` listens


def is_loopback(host: str) -> bool:
    """This very machine: nobody between could read a token."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def origin(url: str) -> tuple[str, str, int]:
    """Scheme, host and port: what must be the same for a token to go along."""
    parts = urlsplit(url)
    port = parts.port or {"https": 443, "http": 80}.get(parts.scheme, 0)
    return parts.scheme, (parts.hostname or "").lower(), port


def site_address(text: str, *, insecure: bool) -> str:
    """ "https://host[:port]", as it is kept and compared. Raises Failure.

    insecure: plain http also to another machine.
    """
    wrong = Failure(
        f"{text!r} is no site's address.", Code.USAGE, advice="It looks like https://host or "
        "https://host:port, without anything behind."
    )  # fmt: skip
    try:
        parts = urlsplit(text.strip())
        scheme, host, port = origin(text.strip())
    except ValueError:
        raise wrong from None
    bare = not (parts.username or parts.password or parts.query or parts.fragment)
    if scheme not in {"http", "https"} or not host or not bare or parts.path not in {"", "/"}:
        raise wrong
    if not host.isascii() or any(sign.isspace() or sign in "\"\\<>'" for sign in host):
        raise wrong
    if scheme == "http" and not insecure and not is_loopback(host):
        raise Failure(
            f"http://{host} would send the token readable over the network.",
            Code.USAGE,
            advice="Use https://, or --insecure in a network that you trust.",
        )
    shown = f"[{host}]" if ":" in host else host
    usual = {"https": 443, "http": 80}[scheme]
    return f"{scheme}://{shown}" + ("" if port == usual else f":{port}")
