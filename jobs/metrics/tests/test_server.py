"""GET /metrics of a part that serves no pages."""

import socket
import threading
import urllib.error
import urllib.request
from ipaddress import ip_network

import pytest
from django.conf import LazySettings
from prometheus_client.parser import text_string_to_metric_families

from jobs.metrics import instruments, server
from jobs.metrics.catalogue import METRICS, Source


def ask(port: int, path: str = "/metrics", **headers: str) -> tuple[int, str]:
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


@pytest.fixture(scope="module")
def port() -> int:
    found = server.serve("127.0.0.1", 0)
    assert found is not None
    return found


def test_it_tells_what_the_part_counts_and_nothing_of_postgres(
    port: int, counted: instruments.Counted
) -> None:
    instruments.stepped("nano", 0.3)
    status, text = ask(port)
    assert status == 200
    assert 't2v_step_seconds_bucket{le="0.5",model="nano"} 1.0' in text
    for family in text_string_to_metric_families(text):
        name = f"{family.name}_total" if family.type == "counter" else family.name
        assert METRICS[name].source is Source.PROCESS


@pytest.mark.usefixtures("counted")
def test_it_has_the_guard_of_the_page(port: int, settings: LazySettings) -> None:
    settings.T2V_METRICS_TOKEN = "a-token-of-a-scraper-of-ours"
    settings.T2V_METRICS_NETWORKS = (ip_network("10.0.0.0/8"),)
    assert ask(port) == (404, "")
    assert ask(port, Authorization="Bearer wrong") == (401, "")
    status, text = ask(port, Authorization="Bearer a-token-of-a-scraper-of-ours")
    assert (status, "t2v_build_info" in text) == (200, True)


def said(port: int, *lines: str) -> bytes:
    """The status line of the answer to these header lines."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as caller:
        caller.sendall("\r\n".join(["GET /metrics HTTP/1.0", *lines, "", ""]).encode())
        with caller.makefile("rb") as answer:
            return answer.readline()


@pytest.mark.usefixtures("counted")
def test_of_several_lines_of_a_header_each_counts(port: int, settings: LazySettings) -> None:
    settings.T2V_METRICS_NETWORKS = (ip_network("127.0.0.0/8"),)
    near, far = "X-Forwarded-For: 127.0.0.1", "x-forwarded-for: 203.0.113.9"
    assert b" 200 " in said(port, near, near)
    assert b" 404 " in said(port, near, far)
    assert b" 404 " in said(port, near, "Via: 1.1 proxy")


@pytest.mark.usefixtures("counted")
def test_who_drips_holds_nobody_up_for_longer_than_was_said(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "TIMEOUT_SECONDS", 1.0)
    with socket.create_connection(("127.0.0.1", port)) as slow:
        slow.sendall(b"GET /metrics HTTP/1.1\r\nX: ")
        over = threading.Event()

        def drip() -> None:
            while not over.wait(0.1):
                try:
                    slow.sendall(b"a")
                except OSError:
                    return  # it was hung up on

        dripping = threading.Thread(target=drip)
        dripping.start()
        try:
            assert ask(port)[0] == 200
        finally:
            over.set()
            dripping.join()


def test_there_is_nothing_else_on_its_port(port: int) -> None:
    assert ask(port, "/") == (404, "")
    assert ask(port, "/metrics/../admin/") == (404, "")


def test_a_port_that_is_taken_keeps_no_part_from_starting(
    settings: LazySettings, caplog: pytest.LogCaptureFixture
) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        assert server.serve("127.0.0.1", other.getsockname()[1]) is None
    assert "no metrics on port" in caplog.text
