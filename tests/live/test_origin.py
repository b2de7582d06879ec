"""A page opens a socket from this very host and port only; browsers send cookies from anywhere."""

import pytest
from websockets.exceptions import InvalidStatus

from tests.live.stage import People, Server
from tests.live.viewer import dial

OWN = "http://127.0.0.1:{port}"


async def _opens(
    server: Server, cookie: str, origin: str | None, host: str | None, path: str = "/ws/"
) -> bool:
    """Whether the handshake is answered with a socket; every other answer is a refusal."""

    def said(text: str | None) -> str | None:
        return None if text is None else text.replace("{port}", str(server.port))

    uri = f"ws://{said(host) or server.host}{path}"
    try:
        async with dial(server, cookie=cookie, origin=said(origin), uri=uri) as socket:
            await socket.send('{"type": "ping"}')
            return await socket.recv() == '{"type": "pong"}'
    except InvalidStatus as refused:
        # Daphne calls an Origin that is no address a bad request.
        if refused.response.status_code not in {400, 403}:
            raise
        return False


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        (OWN, None),
        ("http://localhost:{port}", "localhost:{port}"),
        # A proxy may ask by another name: the page is still the one of T2V_BASE_URL.
        (OWN, "web.internal"),
    ],
)
async def test_a_page_of_this_host_and_port_opens_a_socket(
    server: Server, people: People, origin: str, host: str | None
) -> None:
    cookie = await people.cookie(people.alice, server)
    assert await _opens(server, cookie, origin, host)


async def test_every_other_page_is_refused_a_socket(server: Server, people: People) -> None:
    cookie = await people.cookie(people.alice, server)
    foreign: list[tuple[str | None, str | None]] = [
        ("http://evil.example", None),
        ("http://evil.example:{port}", None),
        ("http://sub.127.0.0.1:{port}", None),
        ("http://127.0.0.1:1", None),
        ("http://127.0.0.1", None),
        ("https://127.0.0.1:{port}", None),
        ("HTTP://127.0.0.1:{port}", None),
        ("http://localhost:{port}", None),
        ("http://LOCALHOST:{port}", "localhost:{port}"),
        ("http://127.0.0.1.:{port}", None),
        ("http://127.0.0.1:{port}/", None),
        ("http://127.0.0.1:{port}@evil.example", None),
        ("http://127.0.0.1:{port}.evil.example", None),
        ("null", None),
        (None, None),
        # A name of the attacker's that leads here.
        ("http://evil.example", "evil.example"),
        ("http://evil.example:{port}", "evil.example:{port}"),
        ("null", "null"),
    ]
    opened = [each for each in foreign if await _opens(server, cookie, *each)]
    assert opened == []


async def test_an_unknown_address_is_refused_a_socket(server: Server, people: People) -> None:
    cookie = await people.cookie(people.alice, server)
    for path in ("/", "/ws", "/ws/more", "/api/v1/live/", "/api/v1/jobs", "/admin/"):
        assert not await _opens(server, cookie, OWN, None, path), path
