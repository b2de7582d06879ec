"""A token goes where it was meant to go, and nowhere else."""

import pytest

from t2v_cli.address import origin, site_address
from t2v_cli.failures import Code, Failure


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("https://videos.example.com", "https://videos.example.com"),
        ("https://Videos.Example.com:443/", "https://videos.example.com"),
        ("https://videos.example.com:8443", "https://videos.example.com:8443"),
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000"),
        ("http://localhost:8000/", "http://localhost:8000"),
        ("http://[::1]:8000", "http://[::1]:8000"),
    ],
)
def test_a_sites_address_is_kept_in_one_form(given: str, kept: str) -> None:
    assert site_address(given, insecure=False) == kept


@pytest.mark.parametrize(
    "given",
    [
        "videos.example.com",
        "ftp://videos.example.com",
        "https://",
        "https://alice:secret@videos.example.com",
        "https://videos.example.com/t2v",
        "https://videos.example.com?x=1",
        "https://videos.example.com:99999",
        'https://videos".example.com',
        "https://[::1",
        "",
    ],
)
def test_what_is_no_address_is_refused(given: str) -> None:
    with pytest.raises(Failure) as refused:
        site_address(given, insecure=True)
    assert refused.value.code is Code.USAGE


@pytest.mark.parametrize(
    "host", ["videos.example.com", "10.0.0.1", "localhost.example.com", "127.0.0.1.example.com"]
)
def test_plain_http_to_another_machine_has_to_be_wanted(host: str) -> None:
    with pytest.raises(Failure, match="readable"):
        site_address(f"http://{host}:8000", insecure=False)
    assert site_address(f"http://{host}:8000", insecure=True) == f"http://{host}:8000"


def test_another_port_or_scheme_is_another_origin() -> None:
    assert origin("https://a.example/x") == origin("https://A.example:443/y?z")
    assert origin("https://a.example") != origin("http://a.example")
    assert origin("https://a.example") != origin("https://a.example:8443")
