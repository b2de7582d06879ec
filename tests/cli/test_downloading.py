"""Files fetched by t2v, through a site that dies meanwhile and from the storage itself."""

import hashlib
import os
import time
from collections.abc import Callable
from pathlib import Path

import boto3
import pytest

from accounts.models import User
from conftest import video_of
from jobs import actions, artifacts
from jobs.artifacts import Stored
from jobs.models import Job
from tests.cli.cutter import cutter_to
from tests.cli.program import END_SECONDS, Program, Running
from tests.live import worker
from tests.live.stage import Server, serving
from tests.stage import S3_KEY, S3_SECRET, conditional_s3_server

CONTENT = os.urandom(2 << 20)


def _video(held: actions.Claim, folder: Path, content: bytes) -> Stored:
    path = folder / "made.mp4"
    path.write_bytes(content)
    return artifacts.put(held.job, held.attempt, artifacts.VIDEO, path)


def _made(owner: User, folder: Path, content: bytes = CONTENT) -> Job:
    made = worker.submit(owner)
    held = worker.claim()
    actions.succeed(held, [_video(held, folder, content)])
    return made


@pytest.fixture
def job(alice: User, tmp_path: Path) -> Job:
    """One whose video has 2 MB."""
    return _made(alice, tmp_path)


def _parts(folder: Path) -> list[Path]:
    return list(folder.glob(".*.part"))


def _fetched(folder: Path) -> int:
    """Bytes."""
    return sum(part.stat().st_size for part in _parts(folder))


def _until(seen: Callable[[], bool], program: Running) -> None:
    deadline = time.monotonic() + END_SECONDS
    while not seen():
        assert time.monotonic() < deadline, program.err()
        time.sleep(0.02)


def test_a_video_is_fetched_once_and_never_written_over_another_file(
    alices: Program, job: Job
) -> None:
    done = alices.run("download", job.pk)
    assert (done.code, done.out, done.err) == (0, f"{job.pk}.mp4\n", "")
    file = alices.home / f"{job.pk}.mp4"
    assert file.read_bytes() == CONTENT
    before = file.stat().st_mtime_ns
    assert alices.run("download", job.pk, "--json").json() == {
        "files": [{"id": str(job.pk), "file": f"{job.pk}.mp4"}]
    }
    assert file.stat().st_mtime_ns == before

    file.write_bytes(b"mine")
    refused = alices.run("download", job.pk)
    assert refused.code == 2
    assert file.read_bytes() == b"mine"
    assert alices.run("download", job.pk, "--force").code == 0
    assert file.read_bytes() == CONTENT
    assert _parts(alices.home) == []


def test_several_go_into_a_folder(alices: Program, job: Job) -> None:
    done = alices.run("download", job.pk, job.pk, "-o", "new/folder")
    assert done.code == 0
    assert (alices.home / "new/folder" / f"{job.pk}.mp4").read_bytes() == CONTENT
    one = alices.run("download", job.pk, "-o", "clip.mp4")
    assert (one.code, one.out) == (0, "clip.mp4\n")


def test_a_job_without_a_file_says_why(alices: Program, job: Job, alice: User) -> None:
    waiting = worker.submit(alice)
    done = alices.run("download", waiting.pk)
    assert done.code == 4
    assert "it is queued" in done.err
    other = alices.run("download", job.pk, "--name", "poster.png")
    assert other.code == 4
    assert "it has video.mp4" in other.err


def test_a_download_goes_on_when_a_killed_site_is_back(
    t2v: Callable[..., Program], own_server: Server, alice: User, tmp_path: Path
) -> None:
    content = 12 * CONTENT  # more than the sockets on the way hold after the site is dead
    job = _made(alice, tmp_path, content)
    with cutter_to(own_server.port) as network:
        network.slow_down(0.01)  # of each 16 KB: 15 s in all
        program = t2v(network.url, alice)
        with program.running("download", job.pk) as download:
            _until(lambda: _fetched(program.home) > 1_000_000, download)
            own_server.kill()
            network.slow_down(0)
            download.until_err("Trying again")
            own_server.start()
            done = download.end()
        passed = network.passed
    assert done.code == 0
    assert (program.home / f"{job.pk}.mp4").read_bytes() == content
    assert passed < len(content) + 500_000, "it began anew"


def test_an_interrupted_download_is_taken_up_by_the_next(
    t2v: Callable[..., Program], server: Server, alice: User, tmp_path: Path
) -> None:
    content = 12 * CONTENT  # 15 s of it, of which it is interrupted after the first
    job = _made(alice, tmp_path, content)
    with cutter_to(server.port) as network:
        network.slow_down(0.01)
        program = t2v(network.url, alice)
        with program.running("download", job.pk) as download:
            _until(lambda: _fetched(program.home) > 1_000_000, download)
            download.interrupt()
            assert download.end().code == 130
        assert not (program.home / f"{job.pk}.mp4").exists()
        network.slow_down(0)
        left, before = len(content) - _fetched(program.home), network.passed
        with program.terminal("download", job.pk) as terminal:
            assert terminal.end() == 0
        assert "━" in terminal.shown
        assert "25.2/25.2 MB" in terminal.shown
        passed = network.passed - before
    assert (program.home / f"{job.pk}.mp4").read_bytes() == content
    assert passed < left + 500_000, "it began anew"


def test_from_s3_it_comes_by_a_signed_link_and_without_the_token(
    t2v: Callable[..., Program],
    alice: User,
    tmp_path: Path,
    transactional_db: None,
) -> None:
    sha = hashlib.sha256(CONTENT).hexdigest()
    with conditional_s3_server() as s3, serving(Server("daphne", tmp_path / "s3.log", **s3)) as web:
        made = worker.submit(alice)
        held = worker.claim()
        key = video_of(held).key
        client = boto3.client(
            "s3",
            endpoint_url=s3["T2V_S3_ENDPOINT"],
            region_name="us-east-1",
            aws_access_key_id=S3_KEY,
            aws_secret_access_key=S3_SECRET,
        )
        client.put_object(Bucket=s3["T2V_S3_BUCKET"], Key=key, Body=CONTENT)
        stored = Stored(
            name="video.mp4", key=key, content_type="video/mp4", size=len(CONTENT), sha256=sha
        )
        actions.succeed(held, [stored])
        program = t2v(web.url, alice)
        part = program.home / f".{made.pk}.mp4.{sha[:16]}.part"
        part.write_bytes(CONTENT[:1_000_000])
        done = program.run("download", made.pk)
    assert (done.code, done.err) == (0, "")
    assert (program.home / f"{made.pk}.mp4").read_bytes() == CONTENT


def test_submit_and_download_in_one(alices: Program, alice: User, tmp_path: Path) -> None:
    with alices.running("submit", "a star", "--download", "out", "--json") as submit:
        _until(Job.objects.exists, submit)
        held = worker.claim()
        actions.succeed(held, [_video(held, tmp_path, CONTENT)])
        done = submit.end()
    assert (done.code, done.err) == (0, "")
    assert (done.json()["state"], done.json()["file"]) == ("succeeded", f"out/{held.job}.mp4")
    assert (alices.home / "out" / f"{held.job}.mp4").read_bytes() == CONTENT


def test_waiting_for_a_job_that_fails_is_1(alices: Program, alice: User) -> None:
    with alices.running("submit", "-f", "/dev/stdin", "--wait") as submit:
        assert submit.end().code == 2  # an empty file
    with alices.running("submit", "a star", "--wait") as submit:
        _until(Job.objects.exists, submit)
        actions.fail(worker.claim(), code="bad_prompt", message="No.", permanent=True)
        assert submit.end().code == 1
