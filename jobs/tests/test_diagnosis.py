"""What is known of a job that did not work: whole, readable, and without a secret."""

import json
from collections.abc import Callable

import pytest
from django.conf import settings

from jobs import actions, diagnosis
from jobs.models import Job, KeptPreview

pytestmark = pytest.mark.django_db


def test_a_bundle_holds_all_that_is_known_of_a_parked_job(parked: Job) -> None:
    found = json.loads(json.dumps(diagnosis.bundle(parked)))
    assert (found["job"]["state"], found["job"]["error_code"]) == ("parked", "out_of_memory")
    assert (found["job"]["spent"], found["job"]["max_attempts"]) == (1, 1)
    assert found["request"]["prompt"] == "a blue star rising"
    assert found["request"]["spec"] == parked.request.spec
    (attempt,) = found["attempts"]
    assert (attempt["number"], attempt["outcome"], attempt["fingerprint"]["torch"]) == (
        1,
        "failed",
        "2.13",
    )
    assert [event["kind"] for event in found["events"]] == ["submitted", "claimed", "parked"]
    assert (found["checkpoint"]["attempt"], found["checkpoint"]["step"]) == (1, 8)
    assert found["checkpoint"]["bytes"] == 4096
    assert (found["last_preview"]["step"], found["last_preview"]["frames"]) == (8, 7)
    assert [worker["device"] for worker in found["workers"]] == ["a card"]
    assert found["retried_as"] is None


def test_a_bundle_names_the_job_that_tries_it_again_and_that_one_names_it(parked: Job) -> None:
    new = actions.retry(parked.pk)
    assert diagnosis.bundle(parked)["retried_as"] == str(new.pk)
    again = diagnosis.bundle(new)
    assert again["request"]["retry_of"] == str(parked.pk)
    assert again["checkpoint"]["of_job"] == str(parked.pk)


def test_a_job_that_nobody_took_yet_has_a_bundle_too(submit: Callable[..., Job]) -> None:
    found = diagnosis.bundle(submit())
    assert (found["attempts"], found["workers"]) == ([], [])
    assert found["checkpoint"] is found["last_preview"] is found["retried_as"] is None


def test_a_bundle_holds_no_secret_and_no_storage_key(parked: Job) -> None:
    text = json.dumps(diagnosis.bundle(parked))
    database = settings.DATABASES["default"]
    secrets = {settings.SECRET_KEY, settings.REDIS_URL, str(database["HOST"]), "jobs/", "pbkdf2_"}
    assert [secret for secret in secrets if secret and secret in text] == []
    assert "argon2" not in text
    assert "idempotency" not in text


@pytest.mark.parametrize("broken", [b"", b"TV", b"\x00" * 60, b"TV\x01\x09" + b"\x00" * 60])
def test_a_preview_that_cannot_be_read_is_none(broken: bytes, submit: Callable[..., Job]) -> None:
    job = submit()
    KeptPreview.objects.create(job=job, message=broken)
    assert diagnosis.last_picture(job) is None
    assert diagnosis.bundle(job)["last_preview"] is None


def test_the_last_picture_is_the_image_without_its_header(parked: Job) -> None:
    picture = diagnosis.last_picture(parked)
    assert picture is not None
    assert (picture.image, picture.content_type) == (b"\xff\xd8picture", "image/jpeg")
