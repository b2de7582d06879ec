"""What somebody sends who wants to be taken for the proxy before us: refused, or without effect."""

import asyncio
from collections.abc import Iterable

from tests.live.stage import Server

# Python takes them for ends of lines, a terminal or a log for other things.
CONTROL = (0x00, 0x0B, 0x0C, 0x1C, 0x1D, 0x1E, 0x85)


async def _raw(server: Server, *lines: bytes, path: str = "/") -> tuple[int, bytes]:
    """Status and the whole answer. 0: the connection was closed without a word."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    try:
        head = [f"GET {path} HTTP/1.1".encode(), b"Host: " + server.host.encode(), *lines]
        writer.write(b"\r\n".join([*head, b"Connection: close", b"", b""]))
        async with asyncio.timeout(20):
            answer = await reader.read()
    finally:
        writer.close()
    return int(answer.split(b" ", 2)[1]) if answer else 0, answer


async def _statuses(server: Server, headers: Iterable[bytes]) -> dict[bytes, int]:
    return {header: (await _raw(server, header))[0] for header in headers}


async def test_a_header_with_a_control_byte_is_refused(server: Server) -> None:
    headers = [b"X-Real: a" + bytes([byte]) + b"X-Forwarded-Proto: https" for byte in CONTROL]
    headers += [b"Cookie: a=" + bytes([byte]) + b"b" for byte in CONTROL]
    assert {*(await _statuses(server, headers)).items()} == {(each, 400) for each in headers}


async def test_nobody_but_a_server_itself_says_where_the_site_begins(server: Server) -> None:
    """Daphne takes the header from anybody: all links of the answer would begin so."""
    for value in (b"/evil", b"//evil.example", b"%2f%2fevil.example", b"\xff", b""):
        for name in (b"Daphne-Root-Path", b"daphne-root-path"):
            status, answer = await _raw(server, name + b": " + value, path="/settings/tokens")
            assert status == 400, (value, answer)
            assert b"evil" not in answer


async def test_a_socket_of_nobodys_proxy_is_not_opened(server: Server) -> None:
    upgrade = [
        b"Upgrade: websocket",
        b"Origin: " + server.url.encode(),
        b"Sec-WebSocket-Version: 13",
        b"Sec-WebSocket-Key: " + 22 * b"x" + b"==",
    ]
    for path in ("/ws/", "/api/v1/live"):
        for header in (b"Daphne-Root-Path: /evil", b"X-Real: a\x85b"):
            status, answer = await _raw(server, *upgrade, header, path=path)
            assert status in {400, 403}, answer


async def test_who_says_what_only_a_proxy_may_say_changes_nothing_of_the_answer(
    server: Server,
) -> None:
    """No proxy is configured, so nobody is believed: neither a host, a scheme nor a place."""
    said = (
        *(b"X-Forwarded-Host: evil.example", b"Forwarded: host=evil.example;proto=https"),
        *(b"X-Forwarded-Port: 444", b"X-Forwarded-Prefix: /evil", b"X-Script-Name: /evil"),
        *(b"X-Original-URL: /admin/", b"X-Rewrite-URL: /admin/", b"X-Host: evil.example"),
        *(b"X-Forwarded-Proto: https", b"X-Http-Method-Override: DELETE", b"Script_Name: /evil"),
    )
    _, plain = await _raw(server, path="/settings/tokens")
    _, believed = await _raw(server, *said, path="/settings/tokens")
    assert _constant(believed) == _constant(plain)


def _constant(answer: bytes) -> list[bytes]:
    """Without what differs from one answer to the next."""
    changes = (b"date:", b"x-request-id:")
    return [line for line in answer.splitlines() if not line.lower().startswith(changes)]
