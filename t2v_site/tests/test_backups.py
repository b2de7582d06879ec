"""The drill: work goes on after a backup, all is lost, and what comes back is told exactly."""

import shutil
from collections.abc import Callable, Iterator
from io import StringIO
from pathlib import Path

import pytest
from django.conf import LazySettings
from django.core.management import CommandError, call_command

from jobs import actions, artifacts
from jobs.actions import Claim
from jobs.artifacts import Stored
from jobs.models import Job
from t2v_site.tests.elsewhere import Place, empty_place

pytestmark = pytest.mark.django_db(transaction=True)


def put(held: Claim, name: str, tmp_path: Path) -> Stored:
    file = tmp_path / "file"
    file.write_text(f"{name} of {held.job}")
    return artifacts.put(held.job, held.attempt, name, file)


@pytest.fixture
def media_root(media: Path, settings: LazySettings) -> Path:
    settings.MEDIA_ROOT = media
    return media


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[Place]:
    with empty_place(tmp_path / "elsewhere") as place:
        yield place


def test_after_a_restore_the_report_names_exactly_what_was_lost_and_unfinished_work_goes_on(
    submit: Callable[..., Job],
    claim: Callable[..., Claim],
    media_root: Path,
    elsewhere: Place,
    tmp_path: Path,
) -> None:
    submit()
    done = claim()
    video = put(done, "video.mp4", tmp_path)
    actions.succeed(done, [video])
    submit()
    running = claim()
    actions.save_checkpoint(running, stored=put(running, "step-3.ckpt", tmp_path), step=3)
    told = StringIO()
    call_command("backup", str(tmp_path / "backup"), stdout=told)
    assert "2 files" in told.getvalue()
    assert (tmp_path / "backup").stat().st_mode & 0o077 == 0

    lost_video = put(running, "video.mp4", tmp_path)
    actions.succeed(running, [lost_video])
    submit()
    later = claim()
    lost_file = put(later, "video.mp4", tmp_path)
    actions.succeed(later, [lost_file])
    # The database is lost, of the storage one video.
    shutil.copytree(media_root, elsewhere.var / "media")
    (elsewhere.var / "media" / video.key).unlink()

    other_key = elsewhere.manage("restore", str(tmp_path / "backup"), T2V_SECRET_KEY="another" * 10)
    assert other_key.returncode == 1
    assert "T2V_SECRET_KEY is not the one of the backup" in other_key.stderr
    in_the_way = elsewhere.var / "media" / video.key
    in_the_way.write_text("another video")
    refused = elsewhere.manage("restore", str(tmp_path / "backup"))
    assert "is another file than the backup's; move it away" in refused.stderr
    in_the_way.unlink()
    restored = elsewhere.manage("restore", str(tmp_path / "backup"))
    assert restored.returncode == 0, restored.stderr
    again = elsewhere.manage("restore", str(tmp_path / "backup"))
    assert "holds tables already" in again.stderr

    jobs = {str(job): state for job, state in elsewhere.sql("SELECT id, state FROM jobs_job")}
    assert jobs == {str(done.job): "succeeded", str(running.job): "running"}
    # Its worker is gone; as if its lease's 60 s had passed.
    elsewhere.sql("UPDATE jobs_job SET lease_until = '2020-01-01' WHERE state = 'running'")
    report = elsewhere.manage("reconcile", "--deep").stdout
    assert f"unheld {running.job}\n" in report
    # What the sweep does, which itself waits for 60 s after Postgres' start.
    taken_back = "from jobs import actions; print(actions.reap())"
    swept = elsewhere.manage("shell", "--verbosity", "0", "--command", taken_back)
    assert swept.stdout.strip() == "1", swept.stderr
    report = elsewhere.manage("reconcile", "--deep").stdout
    orphans = {line.split()[1] for line in report.splitlines() if line.startswith("orphan ")}
    assert orphans == {lost_video.key, lost_file.key}
    assert "2 files that nobody refers to found, 0 artifacts without file, 0 checkpoints" in report
    state = "SELECT state, step FROM jobs_job JOIN jobs_checkpoint ON job_id = id WHERE id = '{}'"
    rows = elsewhere.sql(state.format(running.job).replace("step", "jobs_checkpoint.step"))
    assert rows == [("queued", 3)], "it goes on from its checkpoint"


def test_a_report_of_every_byte_sees_what_a_size_does_not_tell(
    submit: Callable[..., Job], claim: Callable[..., Claim], media_root: Path, tmp_path: Path
) -> None:
    submit()
    held = claim()
    saved = put(held, "step-3.ckpt", tmp_path)
    actions.save_checkpoint(held, stored=saved, step=3)
    (media_root / saved.key).write_text("x" * saved.size)
    told = StringIO()
    call_command("reconcile", stdout=told)
    assert "0 checkpoints without file" in told.getvalue()
    told = StringIO()
    call_command("reconcile", "--deep", stdout=told)
    assert f"checkpoint other bytes: {saved.key}\n" in told.getvalue()


def test_a_backup_is_whole_or_is_refused(media_root: Path, tmp_path: Path) -> None:
    folder = tmp_path / "backup"
    call_command("backup", str(folder), stdout=StringIO())
    with pytest.raises(CommandError, match="exists already"):
        call_command("backup", str(folder))
    with (folder / "database.dump").open("r+b") as dump:
        dump.seek(100)
        dump.write(b"damage")
    with pytest.raises(CommandError, match="damaged"):
        call_command("restore", str(folder))
    (folder / "manifest.json").write_text("{}")
    with pytest.raises(CommandError, match="is no backup"):
        call_command("restore", str(folder))
