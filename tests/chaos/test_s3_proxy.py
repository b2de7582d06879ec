"""The spoilt S3 is spoilt as it says: a real client, a real server, and the proxy between them."""

import io
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import pytest
from botocore.exceptions import BotoCoreError, ClientError, ConnectionClosedError

from tests.chaos.s3_proxy import S3Proxy
from tests.chaos.s3_server import BUCKET, S3Server, client

pytestmark = pytest.mark.services


@dataclass
class Stage:
    proxy: S3Proxy
    through: Any  # a client by way of the proxy, which tries once
    direct: Any  # one that asks the server itself

    def put(self, key: str, content: bytes = b"x" * 1000) -> None:
        self.through.put_object(Bucket=BUCKET, Key=key, Body=io.BytesIO(content), IfNoneMatch="*")

    def stored(self) -> dict[str, int]:
        found = self.direct.list_objects_v2(Bucket=BUCKET).get("Contents", [])
        return {entry["Key"]: entry["Size"] for entry in found}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    folder = tmp_path_factory.mktemp("s3")
    started = S3Server(folder / "log", mark=str(folder))
    try:
        started.start()
        yield started
    finally:
        started.kill()


@pytest.fixture
def stage(server: S3Server) -> Iterator[Stage]:
    """An empty bucket."""
    with closing(client(server.proxy.port)) as through, closing(client(server.port)) as direct:
        made = Stage(proxy=server.proxy, through=through, direct=direct)
        for key in made.stored():
            direct.delete_object(Bucket=BUCKET, Key=key)
        yield made
    server.proxy.heal()


def test_what_nobody_spoils_goes_through_both_ways(stage: Stage) -> None:
    stage.put("fine", b"a film")
    assert stage.through.get_object(Bucket=BUCKET, Key="fine")["Body"].read() == b"a film"
    assert stage.through.head_object(Bucket=BUCKET, Key="fine")["ContentLength"] == 6
    with pytest.raises(ClientError, match="PreconditionFailed"):
        stage.put("fine", b"another")
    assert stage.through.list_objects_v2(Bucket=BUCKET)["KeyCount"] == 1
    stage.through.delete_object(Bucket=BUCKET, Key="fine")
    assert stage.stored() == {}


def test_a_503_reaches_no_server_and_passes_after_so_many(stage: Stage) -> None:
    stage.proxy.spoil("503", 2)
    for _ in range(2):
        with pytest.raises(ClientError) as raised:
            stage.put("busy")
        assert raised.value.response["ResponseMetadata"]["HTTPStatusCode"] == 503
    assert stage.stored() == {}
    stage.put("busy")
    assert (stage.stored(), stage.proxy.heal()) == ({"busy": 1000}, 2)


def test_an_upload_that_is_cut_leaves_nothing(stage: Stage) -> None:
    stage.proxy.spoil("cut", 1)
    assert stage.through.list_objects_v2(Bucket=BUCKET)["KeyCount"] == 0, "it cuts uploads alone"
    with pytest.raises(BotoCoreError):
        stage.put("half")
    assert stage.stored() == {}
    stage.put("half")
    assert stage.stored() == {"half": 1000}


def test_a_lost_reply_is_that_of_an_upload_that_was_made(stage: Stage) -> None:
    stage.proxy.spoil("lost reply", 1)
    with pytest.raises(BotoCoreError):
        stage.put("there")
    assert stage.stored() == {"there": 1000}


def test_a_hang_ends_when_it_is_healed_and_nothing_was_done(stage: Stage) -> None:
    stage.proxy.spoil("hang", 1)
    healed: list[float] = []

    def heal() -> None:
        until = time.monotonic() + 20
        while not stage.proxy.spoilt and time.monotonic() < until:
            time.sleep(0.01)
        time.sleep(0.5)  # so long it hangs
        healed.append(time.monotonic())
        stage.proxy.heal()

    healer = threading.Thread(target=heal)
    healer.start()
    with pytest.raises(ConnectionClosedError):  # by the proxy; the client's patience is not over
        stage.put("late")
    ended = time.monotonic()
    healer.join()
    assert healed[0] < ended
    assert stage.stored() == {}
