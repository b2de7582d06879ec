"""Who may read /metrics: a token, or everybody on the way is a neighbour."""

from ipaddress import ip_network

import pytest
from django.conf import LazySettings
from django.test import Client

from jobs.metrics.page import refused

TOKEN = "a-token-of-a-scraper-of-ours"


@pytest.fixture(autouse=True)
def _guarded(settings: LazySettings) -> None:
    settings.T2V_METRICS_TOKEN = TOKEN
    settings.T2V_METRICS_NETWORKS = (ip_network("127.0.0.0/8"), ip_network("10.1.0.0/16"))


@pytest.mark.parametrize(
    ("authorization", "peer", "forwarded", "status"),
    [
        ("", "127.0.0.1", "", 0),
        ("", "10.1.2.3", "", 0),
        ("", "::ffff:10.1.2.3", "", 0),
        ("", "10.2.2.3", "", 404),
        ("", "", "", 404),  # a Unix socket's
        # A proxy on this machine, whether or not the settings know of it.
        ("", "127.0.0.1", "198.51.100.7", 404),
        ("", "127.0.0.1", "10.1.2.3, 198.51.100.7", 404),
        ("", "198.51.100.7", "127.0.0.1", 404),  # forged
        ("", "127.0.0.1", "10.1.2.3", 0),
        ("", "127.0.0.1", "unknown", 404),
        (f"Bearer {TOKEN}", "198.51.100.7", "", 0),
        (f"Bearer {TOKEN}x", "198.51.100.7", "", 401),
        ("Bearer ", "198.51.100.7", "", 401),
        ("Bearer é", "198.51.100.7", "", 401),
        ("Bearer wrong", "127.0.0.1", "", 401),
        (f"Basic {TOKEN}", "198.51.100.7", "", 404),
    ],
)
def test_only_a_token_or_neighbours_all_the_way_may_read(
    authorization: str, peer: str, forwarded: str, status: int
) -> None:
    headers = {"Authorization": authorization, "X-Forwarded-For": forwarded}
    assert refused(headers, peer=peer) == status


@pytest.mark.parametrize("name", ["Forwarded", "X-Real-IP", "Via"])
def test_behind_a_proxy_that_names_nobody_no_neighbour_reads_without_a_token(name: str) -> None:
    assert refused({name: "127.0.0.1"}, peer="127.0.0.1") == 404
    assert refused({name: "x", "Authorization": f"Bearer {TOKEN}"}, peer="127.0.0.1") == 0


def test_without_a_token_of_its_own_no_token_opens(settings: LazySettings) -> None:
    settings.T2V_METRICS_TOKEN = None
    assert refused({"Authorization": "Bearer None"}, peer="198.51.100.7") == 404


def test_a_refusal_tells_nothing_and_is_not_kept() -> None:
    client = Client(REMOTE_ADDR="198.51.100.7")
    missing, wrong = client.get("/metrics"), client.get("/metrics", HTTP_AUTHORIZATION="Bearer x")
    assert (missing.status_code, wrong.status_code) == (404, 401)
    assert wrong["WWW-Authenticate"] == "Bearer"
    for answer in (missing, wrong):
        assert answer["Cache-Control"] == "no-store"
        assert b"t2v_" not in answer.content
        assert not answer.cookies


@pytest.mark.parametrize("method", ["post", "put", "patch", "delete"])
def test_it_is_only_read(method: str) -> None:
    assert getattr(Client(), method)("/metrics").status_code in {403, 405}
