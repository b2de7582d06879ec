"""Restored into a bucket that holds more and less than the backup, a folder's and its own."""

from collections.abc import Callable
from contextlib import closing
from functools import partial
from io import StringIO
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.conf import LazySettings
from django.core.management import call_command

from jobs import actions, artifacts
from jobs.actions import Claim
from jobs.artifacts import Stored
from jobs.models import Job
from t2v_site.tests.elsewhere import empty_place
from tests.chaos.s3_server import BUCKET, client
from tests.stage import conditional_s3_server

pytestmark = pytest.mark.django_db(transaction=True)


def ask(s3: Any, what: str, key: str, **more: bytes) -> dict[str, Any]:
    answer: dict[str, Any] = getattr(s3, what)(Bucket=BUCKET, Key=key, **more)
    return answer


@pytest.mark.timeout(400)
def test_a_bucket_with_more_and_less_than_the_backup_gets_what_is_missing_and_the_report_is_exact(
    submit: Callable[..., Job],
    claim: Callable[..., Claim],
    media: Path,
    settings: LazySettings,
    tmp_path: Path,
) -> None:
    settings.MEDIA_ROOT = media

    def done() -> Stored:
        submit()
        held, file = claim(), tmp_path / "file"
        file.write_text(f"the video of {held.job}")
        video = artifacts.put(held.job, held.attempt, "video.mp4", file)
        actions.succeed(held, [video])
        return video

    here, away = done(), done()
    call_command("backup", str(tmp_path / "of-a-folder"), stdout=StringIO())
    later = done()  # the backup knows nothing of it
    with (
        conditional_s3_server() as s3,
        closing(client(urlsplit(s3["T2V_S3_ENDPOINT"]).port or 0)) as store,
        empty_place(tmp_path / "second") as second,
    ):
        bucket = partial(ask, store)
        bucket("put_object", here.key, Body=(media / here.key).read_bytes())
        bucket("put_object", later.key, Body=b"of after the backup")
        bucket("put_object", away.key, Body=b"another video")
        refused = second.manage("restore", str(tmp_path / "of-a-folder"), **s3)
        assert f"{away.key} is another file" in refused.stderr
        assert second.sql("SELECT FROM pg_tables WHERE tablename = 'jobs_job'") == []
        bucket("delete_object", away.key)
        restored = second.manage("restore", str(tmp_path / "of-a-folder"), **s3)
        assert restored.returncode == 0, restored.stderr
        assert "2 files" in restored.stdout
        found = bucket("get_object", away.key)
        assert found["Body"].read() == (media / away.key).read_bytes()
        assert found["ContentType"] == "video/mp4"
        report = second.manage("reconcile", "--deep", **s3)
        assert report.returncode == 0, report.stderr
        assert report.stdout.startswith(f"orphan {later.key}\n1 files that nobody refers to")
        assert "0 artifacts without file" in report.stdout

        made = second.manage("backup", str(tmp_path / "of-a-bucket"), **s3)
        assert "no files" in made.stdout, "a bucket is its store's to keep"
        second.sql("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
        bucket("delete_object", here.key)
        restored = second.manage("restore", str(tmp_path / "of-a-bucket"), **s3)
        assert "no files, for it holds none" in restored.stdout, restored.stderr
        report = second.manage("reconcile", "--deep", **s3)
        assert report.returncode == 1
        told = [line for line in report.stdout.splitlines() if "jobs/" in line]
        assert told == [f"orphan {later.key}", f"missing {here.key}"]
