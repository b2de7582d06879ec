"""Files are served whole and by range, so that a player can seek."""

import errno
import hashlib
import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import StringIO
from pathlib import Path
from threading import Barrier, Thread
from uuid import uuid4

import pytest
from django.conf import LazySettings
from django.core.files.storage import default_storage
from django.core.management import CommandError, call_command
from django.test import AsyncClient, Client

from accounts.models import User
from jobs import actions, artifacts
from jobs.models import Job
from jobs.ranges import parse_range
from tests import stage

BODY = bytes(range(256)) * 4
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def url(
    submit: Callable[..., Job], claim: Callable[..., actions.Claim], media: Path, tmp_path: Path
) -> str:
    job, mine = submit(), claim()
    video = tmp_path / "video.mp4"
    video.write_bytes(BODY)
    actions.succeed(mine, [artifacts.put(mine.job, mine.attempt, "video.mp4", video)])
    return f"/jobs/{job.pk}/1/video.mp4"


@pytest.mark.parametrize(
    ("wanted", "status", "first", "last"),
    [
        (None, 200, 0, 1023),
        ("bytes=0-9", 206, 0, 9),
        ("bytes=1000-", 206, 1000, 1023),
        ("bytes=-24", 206, 1000, 1023),
        ("bytes=-5000", 206, 0, 1023),
        ("bytes=1000-5000", 206, 1000, 1023),
        ("bytes=0-1,5-6", 200, 0, 1023),
        ("pages=1-2", 200, 0, 1023),
        ("bytes=9-3", 200, 0, 1023),
    ],
)
async def test_a_file_is_served_by_range(  # noqa: PLR0917 - fixtures
    async_db: None, url: str, alice: User, wanted: str | None, status: int, first: int, last: int
) -> None:
    client = AsyncClient()
    await client.aforce_login(alice)
    answer = await client.get(url, **({"headers": {"Range": wanted}} if wanted else {}))  # type: ignore[arg-type]
    body = b"".join([chunk async for chunk in answer.streaming_content])  # type: ignore[attr-defined]
    assert (answer.status_code, body) == (status, BODY[first : last + 1])
    assert answer["Content-Length"] == str(len(body))
    assert answer["Accept-Ranges"] == "bytes"
    if status == 206:
        assert answer["Content-Range"] == f"bytes {first}-{last}/1024"


def test_a_file_that_is_gone_is_not_found(
    url: str, alice: User, media: Path, client: Client
) -> None:
    next(media.rglob("video.mp4")).unlink()
    client.force_login(alice)
    assert client.get(url).status_code == 404


async def test_a_range_behind_the_end_is_refused_with_the_size(
    async_db: None, url: str, alice: User
) -> None:
    client = AsyncClient()
    await client.aforce_login(alice)
    answer = await client.get(url, headers={"Range": "bytes=1024-"})
    assert (answer.status_code, answer["Content-Range"]) == (416, "bytes */1024")


async def test_an_unchanged_file_is_not_sent_again_and_a_changed_one_not_in_pieces(
    async_db: None, url: str, alice: User
) -> None:
    client = AsyncClient()
    await client.aforce_login(alice)
    etag = (await client.head(url))["ETag"]
    assert (await client.get(url, headers={"If-None-Match": etag})).status_code == 304
    other = await client.get(url, headers={"Range": "bytes=0-1", "If-Range": '"other"'})
    assert other.status_code == 200


def test_no_range_gives_more_than_there_is() -> None:
    for header in ("bytes=0-", "bytes=-1", "bytes=3-4", "bytes=9-99"):
        first, last = parse_range(header, 10) or (0, 9)
        assert 0 <= first <= last < 10
    for header in ("bytes=10-", "bytes=-0"):
        with pytest.raises(ValueError, match="10"):
            parse_range(header, 10)


def test_an_attempts_file_is_never_overwritten(media: Path, tmp_path: Path) -> None:
    job, path = uuid4(), tmp_path / "video.mp4"
    path.write_bytes(b"first")
    artifacts.put(job, 1, "video.mp4", path)
    path.write_bytes(b"second")
    with pytest.raises(artifacts.StorageConflict):
        artifacts.put(job, 1, "video.mp4", path)
    assert (media / f"jobs/{job}/1/video.mp4").read_bytes() == b"first"
    assert [file.name for file in (media / f"jobs/{job}/1").iterdir()] == ["video.mp4"]


def test_a_file_that_is_not_the_one_that_was_made_is_no_result(media: Path, tmp_path: Path) -> None:
    job, path = uuid4(), tmp_path / "sprite.jpg"
    path.write_bytes(BODY)
    told = hashlib.sha256(BODY).hexdigest()
    assert artifacts.put(job, 1, "sprite.jpg", path, sha256=told).sha256 == told
    path.write_bytes(BODY[:-1])
    with pytest.raises(artifacts.StorageConflict, match="not the file"):
        artifacts.put(job, 2, "sprite.jpg", path, sha256=told)


def test_an_upload_that_breaks_leaves_no_half_file(media: Path, tmp_path: Path) -> None:
    job, path = uuid4(), tmp_path / "video.mp4"
    path.write_bytes(bytes(200_000))  # more than one piece
    pieces = iter((None,))

    def full() -> None:
        if next(pieces, "full"):
            raise OSError(errno.ENOSPC, "full")

    with pytest.raises(OSError, match="full"):
        artifacts.put(job, 1, "video.mp4", path, on_read=full)
    assert not [file for file in media.rglob("*") if file.is_file()]
    stored = artifacts.put(job, 1, "video.mp4", path)
    assert (stored.size, stored.sha256) == (200_000, hashlib.sha256(bytes(200_000)).hexdigest())


@pytest.mark.parametrize(
    "reads",
    [
        [(0, -1)],
        [(0, 100), (0, 100), (0, -1)],  # once for a checksum, once to send
        [(0, 700), (500, 300), (800, -1)],
        [(0, 100), (900, -1)],  # what nobody read is read at the end
        [],
    ],
)
def test_each_byte_is_hashed_once_however_it_is_read(
    reads: list[tuple[int, int]], tmp_path: Path
) -> None:
    path = tmp_path / "video.mp4"
    path.write_bytes(BODY)
    with artifacts._Hashed(path, lambda: None) as file:
        for begin, size in reads:
            file.seek(begin)
            assert file.read(size) == BODY[begin:][: None if size < 0 else size]
        assert file.finish() == (len(BODY), hashlib.sha256(BODY).hexdigest())


def _use(settings: LazySettings, server: dict[str, str]) -> None:
    options = {
        "bucket_name": server["T2V_S3_BUCKET"],
        "endpoint_url": server["T2V_S3_ENDPOINT"],
        "access_key": server["T2V_S3_ACCESS_KEY"],
        "secret_key": server["T2V_S3_SECRET_KEY"],
        "region_name": "us-east-1",
        "addressing_style": "path",
        "file_overwrite": False,
    }
    backend = {"BACKEND": "jobs.storage.S3", "OPTIONS": options}
    settings.STORAGES = {**settings.STORAGES, "default": backend}


def test_a_bucket_is_made_where_it_is_missing(settings: LazySettings) -> None:
    with stage.conditional_s3_server() as server:
        _use(settings, server)
        settings.STORAGES["default"]["OPTIONS"]["bucket_name"] = settings.S3_BUCKET = "another"
        said = [StringIO(), StringIO()]
        for text in said:
            call_command("bucket", stdout=text)
    assert [text.getvalue() for text in said] == ["another is made.\n", "another is there.\n"]
    with pytest.raises(CommandError, match="did not make another"):
        call_command("bucket")
    settings.S3_BUCKET = ""
    with pytest.raises(CommandError, match="T2V_S3_BUCKET is not set"):
        call_command("bucket")


@pytest.mark.parametrize("size", [1000, 9_000_000])
def test_s3_stores_what_was_hashed(size: int, settings: LazySettings, tmp_path: Path) -> None:
    path, job = tmp_path / "video.mp4", uuid4()
    path.write_bytes(random.Random(size).randbytes(size))
    with stage.s3_server(tmp_path / "s3") as server:
        _use(settings, server)
        stored = artifacts.put(job, 1, "video.mp4", path)
        with default_storage.open(stored.key) as file:
            content = file.read()
        artifacts.fetch(stored.key, tmp_path / "copy", size=size, sha256=stored.sha256)
    assert (stored.size, stored.sha256) == (size, hashlib.sha256(content).hexdigest())
    assert (tmp_path / "copy").read_bytes() == path.read_bytes()


@pytest.mark.parametrize("conditional", [True, False])
def test_a_key_is_written_once_and_the_same_bytes_again_are_the_same_file(
    conditional: bool, settings: LazySettings, tmp_path: Path
) -> None:
    """As after a lost answer: the store has it, and the sender does not know."""
    path, job = tmp_path / "video.mp4", uuid4()
    path.write_bytes(BODY)
    settings.S3_CONDITIONAL = conditional
    with stage.conditional_s3_server() as server:
        _use(settings, server)
        first = artifacts.put(job, 1, "video.mp4", path)
        assert artifacts.put(job, 1, "video.mp4", path) == first
        path.write_bytes(BODY[::-1])
        with pytest.raises(artifacts.StorageConflict):
            artifacts.put(job, 1, "video.mp4", path)
        with default_storage.open(first.key) as file:
            assert file.read() == BODY


def test_of_two_that_put_one_key_at_the_same_moment_the_store_lets_one(
    settings: LazySettings, tmp_path: Path
) -> None:
    job, start = uuid4(), Barrier(8)

    def put(number: int) -> bool:
        path = tmp_path / str(number)
        path.write_bytes(bytes([number]) * 100_000)
        start.wait(60)
        try:
            artifacts.put(job, 1, "video.mp4", path)
        except artifacts.StorageConflict:
            return False
        return True

    with stage.conditional_s3_server() as server:
        _use(settings, server)
        with ThreadPoolExecutor(8) as threads:
            assert sum(threads.map(put, range(8))) == 1


def test_a_storage_that_is_away_is_told_as_that_and_names_no_address(
    settings: LazySettings, tmp_path: Path
) -> None:
    (tmp_path / "video.mp4").write_bytes(BODY)
    nowhere = {"T2V_S3_ENDPOINT": "http://127.0.0.1:1", "T2V_S3_BUCKET": "gone"}
    _use(settings, {**nowhere, "T2V_S3_ACCESS_KEY": "k", "T2V_S3_SECRET_KEY": "s"})
    for ask in (
        lambda: artifacts.put(uuid4(), 1, "video.mp4", tmp_path / "video.mp4"),
        lambda: artifacts.fetch("jobs/x/1/c", tmp_path / "copy", size=1, sha256=""),
        lambda: artifacts.names_in(uuid4(), 1),
        lambda: artifacts.delete("jobs/x/1/c"),
    ):
        with pytest.raises(artifacts.StorageUnavailable) as caught:
            ask()
        assert "127.0.0.1" not in str(caught.value)


def test_what_was_fetched_is_what_was_put_or_it_is_refused(media: Path, tmp_path: Path) -> None:
    path = tmp_path / "checkpoint"
    path.write_bytes(BODY)
    stored = artifacts.put(uuid4(), 1, "checkpoint-3.safetensors", path)
    size, sha256 = stored.size, stored.sha256
    artifacts.fetch(stored.key, tmp_path / "copy", size=size, sha256=sha256)
    (media / stored.key).write_bytes(BODY[:-1] + b"x")
    with pytest.raises(artifacts.StorageConflict):
        artifacts.fetch(stored.key, tmp_path / "copy", size=size, sha256=sha256)
    (media / stored.key).write_bytes(BODY + BODY)
    with pytest.raises(artifacts.StorageConflict):
        artifacts.fetch(stored.key, tmp_path / "copy", size=size, sha256=sha256)
    (media / stored.key).unlink()
    with pytest.raises(FileNotFoundError):
        artifacts.fetch(stored.key, tmp_path / "copy", size=size, sha256=sha256)


class _Troubled(BaseHTTPRequestHandler):
    """A store in the middle of something: another upload is under way, a download breaks off."""

    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        """Nothing lies under the key of the upload that is under way."""
        self._answer(404 if "video" in self.path else 200, b"", length=1024)

    def do_PUT(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self._answer(409, b"<Error><Code>ConditionalRequestConflict</Code></Error>")

    def do_GET(self) -> None:
        self._answer(200, b"half", length=1024)
        self.close_connection = True

    def _answer(self, status: int, body: bytes, *, length: int | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


def test_a_store_in_the_middle_of_something_is_asked_again_later_and_breaks_no_attempt(
    settings: LazySettings, tmp_path: Path
) -> None:
    (tmp_path / "video.mp4").write_bytes(BODY)
    with ThreadingHTTPServer(("127.0.0.1", 0), _Troubled) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        address = {"T2V_S3_ENDPOINT": f"http://127.0.0.1:{server.server_port}"}
        keys = {"T2V_S3_BUCKET": "b", "T2V_S3_ACCESS_KEY": "k", "T2V_S3_SECRET_KEY": "s"}
        _use(settings, address | keys)
        with pytest.raises(artifacts.StorageUnavailable):
            artifacts.put(uuid4(), 1, "video.mp4", tmp_path / "video.mp4")
        with pytest.raises(artifacts.StorageUnavailable):
            artifacts.fetch("jobs/x/1/c", tmp_path / "copy", size=1024, sha256="")
        server.shutdown()
