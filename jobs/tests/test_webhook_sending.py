"""Where a webhook may be sent to, and that no receiver can hold us up or fill our memory."""

import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from django.conf import LazySettings

from jobs.tests.receiver import Receiver
from jobs.webhooks import addresses, sending
from jobs.webhooks.addresses import Refused
from jobs.webhooks.sending import EXCERPT_BYTES, post

PUBLIC, OTHER = "93.184.215.14", "2606:2800:21f:cb07:6820:80da:af6b:8b2c"


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """A resolver of our own: a name leads to one address after the other, then to the last one."""
    known: dict[str, list[str]] = {}
    asked: list[str] = []

    def look_up(host: str, port: int, *args: Any, **kwargs: Any) -> list[Any]:
        asked.append(host)
        answers = known.get(host, [host])
        address = answers.pop(0) if len(answers) > 1 else answers[0]
        try:
            parsed = ipaddress.ip_address(address)
        except ValueError as error:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known") from error
        family = socket.AF_INET6 if parsed.version == 6 else socket.AF_INET
        return [(family, socket.SOCK_STREAM, 6, "", (address, port))]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)

    def _names(**answers: list[str]) -> list[str]:
        known.update({name.replace("_", "."): each for name, each in answers.items()})
        return asked

    return _names


@pytest.fixture
def connected(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """To which addresses a connection was tried; none is made."""
    tried: list[str] = []

    def create(address: tuple[str, int], *args: Any, **kwargs: Any) -> socket.socket:
        tried.append(f"{address[0].strip('[]')}:{address[1]}")
        raise ConnectionRefusedError

    monkeypatch.setattr("urllib3.util.connection.create_connection", create)
    return tried


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com/hook",
        "https://example.com:443/hook?a=b",
        "https://EXAMPLE.com.",
        "https://xn--bcher-kva.example/",
        "https://93.184.215.14/",
        f"https://[{OTHER}]/",
    ],
)
def test_a_public_https_address_may_be_told(url: str) -> None:
    assert not addresses.check(url).private


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/",
        "ftp://example.com/",
        "file:///etc/passwd",
        "gopher://example.com/",
        "//example.com/",
        "example.com",
        "https://",
        "https:///path",
        "https://example.com:80/",
        "https://example.com:8443/",
        "https://example.com:22/",
        "https://example.com:99999/",
        "https://user@example.com/",
        "https://user:password@example.com/",
        "https://@example.com/",
        "https://example.com@127.0.0.1/",
        "https://example.com/#part",
        "https://example.com\\@127.0.0.1/",
        "https://exa mple.com/",
        "https://example.com/\r\nHost: localhost",
        "https://example.com/\0",
        "https://bücher.example/",
        "https://-example.com/",
        "https://exa..mple/",
        "https://example.com/" + "x" * 2000,
        "https://127.0.0.1/",
        "https://127.1/",
        "https://127.0.0.1./",
        "https://2130706433/",
        "https://0x7f000001/",
        "https://0x7f.0.0.1/",
        "https://0177.0.0.1/",
        "https://017700000001/",
        "https://1.1/",
        "https://0/",
        "https://0.0.0.0/",
        "https://10.0.0.1/",
        "https://172.16.0.1/",
        "https://192.168.1.1/",
        "https://100.64.0.1/",
        "https://169.254.169.254/latest/meta-data/",
        "https://192.0.0.1/",
        "https://192.0.0.192/",  # metadata of one cloud's machines
        "https://192.88.99.1/",
        "https://198.18.0.1/",
        "https://224.0.0.1/",
        "https://240.0.0.1/",
        "https://255.255.255.255/",
        "https://[::1]/",
        "https://[::]/",
        "https://[::127.0.0.1]/",
        "https://[::ffff:127.0.0.1]/",
        "https://[::ffff:10.0.0.1]/",
        "https://[::ffff:93.184.215.14]/",
        "https://[0:0:0:0:0:ffff:a9fe:a9fe]/",
        "https://[64:ff9b::7f00:1]/",
        "https://[64:ff9b:1::a00:1]/",
        "https://[2002:7f00:1::]/",
        "https://[2001:0:7f00:1::]/",
        "https://[2001:db8::1]/",
        "https://[fc00::1]/",
        "https://[fd12:3456:789a::1]/",
        "https://[fe80::1]/",
        "https://[fe80::1%25eth0]/",
        "https://[fec0::1]/",
        "https://[ff02::1]/",
        "https://[5f00::1]/",
        "https://[3fff::1]/",
        "https://[::1/",
    ],
)
def test_what_could_lead_inside_is_refused_before_any_lookup(
    url: str, names: Callable[..., list[str]], connected: list[str]
) -> None:
    asked = names()
    with pytest.raises(Refused):
        addresses.check(url)
    answer = post(url, body="{}", headers={})
    assert (answer.status, answer.error.startswith("not allowed")) == (None, True)
    assert (asked, connected) == ([], [])


INSIDE = (
    "127.0.0.1",
    "10.1.2.3",
    "192.168.0.1",
    "169.254.169.254",
    "100.64.0.1",
    "0.0.0.0",  # noqa: S104
    "224.0.0.1",
    "240.0.0.1",
    "192.88.99.1",
    "::1",
    "::",
    "::127.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:169.254.169.254",
    "64:ff9b::7f00:1",
    "2002:7f00:1::",
    "fd00::1",
    "fe80::1",
    "ff02::1",
)


@pytest.mark.parametrize("inside", INSIDE)
def test_a_name_that_leads_inside_is_refused_after_the_lookup(
    inside: str, names: Callable[..., list[str]], connected: list[str]
) -> None:
    names(inner_example=[inside])
    answer = post("https://inner.example/", body="{}", headers={})
    assert answer.error.startswith("not allowed")
    assert connected == []


def test_a_name_is_looked_up_once_and_the_address_that_was_checked_is_connected_to(
    names: Callable[..., list[str]], connected: list[str]
) -> None:
    """DNS rebinding: the second lookup would lead inside."""
    asked = names(rebound_example=[PUBLIC, "127.0.0.1"])
    answer = post("https://rebound.example/", body="{}", headers={})
    assert (answer.status, answer.error) == (None, "the connection failed (ConnectionError)")
    assert asked == ["rebound.example"]
    assert connected == [f"{PUBLIC}:443"]
    # At the next try the name has moved, and is refused.
    assert post("https://rebound.example/", body="{}", headers={}).error.startswith("not allowed")
    assert connected == [f"{PUBLIC}:443"]


def test_an_address_of_ipv6_is_connected_to_as_well(
    names: Callable[..., list[str]], connected: list[str]
) -> None:
    names(six_example=[OTHER])
    post("https://six.example/", body="{}", headers={})
    assert connected == [f"{OTHER}:443"]


def test_a_name_that_leads_nowhere_and_one_that_is_never_answered_are_failures(
    names: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    names(nowhere_example=["nothing"])
    answer = post("https://nowhere.example/", body="{}", headers={})
    assert answer.error == "the name leads to no address"
    never = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: never.wait(30))
    monkeypatch.setattr(sending, "LOOKUP_SECONDS", 0.2)
    answer = post("https://silent.example/", body="{}", headers={})
    never.set()
    assert answer.error == "no connection in time"
    assert answer.seconds < 20  # of the 30 that it would have taken


def test_a_proxy_of_this_machine_is_not_asked(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert post(receiver.url("200"), body="{}", headers={}).status == 200


def test_a_named_private_host_is_reached_by_exactly_its_name_and_port(
    receiver: Receiver, settings: LazySettings
) -> None:
    answer = post(receiver.url("200"), body='{"a":1}', headers={"webhook-id": "1"})
    assert (answer.status, answer.error, answer.excerpt) == (200, "", "this is 200\ufffd")
    (got,) = receiver.received
    assert (got.body, got.headers["webhook-id"]) == ('{"a":1}', "1")
    assert got.headers["user-agent"] == "T2V-Webhooks/1"
    for listed in ("127.0.0.1", "127.0.0.1:1", "localhost", "example.com"):
        settings.T2V_WEBHOOK_PRIVATE_HOSTS = frozenset({listed})
        assert post(receiver.url("200"), body="{}", headers={}).error.startswith("not allowed")
    settings.T2V_WEBHOOK_PRIVATE_HOSTS = frozenset()
    assert post(receiver.url("200"), body="{}", headers={}).error.startswith("not allowed")
    assert len(receiver.received) == 1


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_a_failure_and_is_not_followed(status: int, receiver: Receiver) -> None:
    answer = post(receiver.url(str(status)), body="{}", headers={})
    assert (answer.status, answer.error) == (
        status,
        f"answered {status}; redirects are not followed",
    )
    assert [got.path for got in receiver.received] == [f"/{status}"]


@pytest.mark.parametrize("status", [400, 404, 410, 429, 500, 503])
def test_any_other_status_than_2xx_is_a_failure(status: int, receiver: Receiver) -> None:
    answer = post(receiver.url(str(status)), body="{}", headers={})
    assert (answer.status, answer.error) == (status, f"answered {status}")
    assert answer.excerpt == f"this is {status}\ufffd"


@pytest.mark.parametrize("way", ["hang", "drip"])
def test_a_receiver_that_hangs_or_drips_is_left_when_the_time_is_over(
    way: str, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending, "TOTAL_SECONDS", 1.0)
    began = time.monotonic()
    answer = post(receiver.url(way), body="{}", headers={})
    assert (answer.status, answer.error) == (None, "no answer within 1 s")
    assert 0.9 < time.monotonic() - began < 20  # of 30, and of no end
    assert not receiver.release.is_set()


def test_a_body_that_drips_costs_two_seconds_and_its_status_counts(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending, "EXCERPT_SECONDS", 0.5)
    answer = post(receiver.url("drip-body"), body="{}", headers={})
    assert (answer.status, answer.error) == (200, "")
    assert answer.seconds < 15  # of the 20 that a whole try may take
    assert 0 < len(answer.excerpt) < 100


def test_of_a_huge_answer_four_kilobytes_are_read(receiver: Receiver) -> None:
    answer = post(receiver.url("huge"), body="{}", headers={})
    assert (answer.status, len(answer.excerpt)) == (500, EXCERPT_BYTES)
    assert receiver.answers.get("huge-mb", 0) < 64


def _certificate(folder: Path, name: str) -> tuple[Path, Path]:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    certificate, private = folder / "certificate.pem", folder / "key.pem"
    certificate.write_bytes(built.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return certificate, private


def _tls_server(tmp_path: Path) -> tuple[socket.socket, list[str]]:
    """One handshake after the other; the names that were asked for."""
    certificate, private = _certificate(tmp_path, "hooks.example")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, private)
    asked: list[str] = []
    context.sni_callback = lambda _socket, name, _context: asked.append(str(name))
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                plain, _ = listener.accept()
            except OSError:
                return  # closed: the test is over
            plain.settimeout(30)
            try:
                with context.wrap_socket(plain, server_side=True) as secured:
                    asking = b""
                    # To hang up on what is not read yet would reset the connection.
                    while not asking.endswith(b"{}") and (some := secured.recv(65536)):
                        asking += some
                    secured.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
            except OSError:
                plain.close()

    threading.Thread(target=serve, daemon=True).start()
    return listener, asked


def test_a_certificate_must_be_valid_for_the_name_and_not_for_the_address(
    tmp_path: Path, names: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection goes to the checked address, TLS speaks to the name."""
    listener, asked = _tls_server(tmp_path)
    real = socket.create_connection
    monkeypatch.setattr(
        "urllib3.util.connection.create_connection",
        lambda address, *_, **__: real(("127.0.0.1", listener.getsockname()[1]), timeout=30),
    )
    names(hooks_example=[PUBLIC], other_example=[PUBLIC])
    with listener:
        refused = post("https://hooks.example/", body="{}", headers={})
        assert refused.error == "the certificate is not valid for this name, or TLS failed"
        monkeypatch.setattr(
            "requests.adapters.DEFAULT_CA_BUNDLE_PATH", str(tmp_path / "certificate.pem")
        )
        taken = post("https://hooks.example/", body="{}", headers={})
        wrong = post("https://other.example/", body="{}", headers={})
    assert (taken.status, taken.error, taken.excerpt) == (200, "", "ok")
    assert wrong.error == refused.error
    assert asked == ["hooks.example", "hooks.example", "other.example"]
