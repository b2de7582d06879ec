"""Pictures to begin a video with: every way in which one may come."""

import base64
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from jobs import offer
from jobs.models import Job
from jobs.tests.customer import Customer

pytestmark = pytest.mark.django_db
PICTURE = base64.b64decode(  # a PNG of 2×2 red pixels
    "iVBORw0KGgoAAAANSUhEUgAAAAIAAAACCAIAAAD91JpzAAAAEElEQVR42mP4"
    "z8AARAwQCgAf7gP9Y167WwAAAABJRU5ErkJggg=="
)


def data_url(content: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(content).decode()


def references(content: bytes) -> dict[str, Callable[[Customer], Any]]:
    """Every way in which a picture may come."""

    def upload() -> SimpleUploadedFile:
        return SimpleUploadedFile("a.png", content, content_type="text/plain")

    return {
        "a file": lambda customer: customer.form(input_reference=upload()),
        "a bracketed file": lambda customer: customer.form(
            **{"input_reference[image_url]": upload()}
        ),
        "a data URL in a form": lambda customer: customer.form(input_reference=data_url(content)),
        "a bracketed data URL": lambda customer: customer.form(
            **{"input_reference[image_url]": data_url(content)}
        ),
        "a data URL in JSON": lambda customer: customer.make(input_reference=data_url(content)),
        "image_url in JSON": lambda customer: customer.make(
            input_reference={"image_url": data_url(content)}
        ),
    }


@pytest.mark.parametrize("way", references(b""))
def test_a_good_picture_is_refused_only_because_the_model_takes_none(
    way: str, customer: Customer
) -> None:
    answer = references(PICTURE)[way](customer)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (400, "unsupported_by_model")
    assert error["param"] == "input_reference"
    assert not Job.objects.exists()


@pytest.mark.parametrize("way", references(b""))
def test_a_bad_picture_is_refused_as_bad_even_so(way: str, customer: Customer) -> None:
    answer = references(b"<svg onload=alert(1)>")[way](customer)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (400, "bad_image")
    assert error["param"] == "input_reference"


@pytest.mark.parametrize(
    "reference",
    [
        {"file_id": "file-123"},
        {"image_url": "https://example.com/a.png"},
        {"image_url": "file:///etc/passwd"},
        {"image_url": 5},
        {"path": "/etc/passwd"},
        "https://example.com/a.png",
        "/etc/passwd",
        [1],
        7,
    ],
)
def test_no_address_and_no_path_is_ever_followed(reference: object, customer: Customer) -> None:
    answer = customer.make(input_reference=reference)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "bad_image")
    assert answer.json()["error"]["param"] == "input_reference"


def test_more_than_ten_megabytes_are_refused_before_they_are_kept(customer: Customer) -> None:
    huge = SimpleUploadedFile("a.png", bytes(11 * 2**20))
    answer = customer.form(input_reference=huge)
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "too_large")
    half = [SimpleUploadedFile(f"{name}.png", bytes(6 * 2**20)) for name in "ab"]
    answer = customer.form(input_reference=half[0], another=half[1])
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "too_large")
    answer = customer.make(input_reference="data:image/png;base64," + "A" * (15 * 2**20))
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "too_large")


def test_a_model_that_takes_a_picture_gets_past_the_check(
    customer: Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    able = {name: replace(entry, inputs=("image",)) for name, entry in offer.models().items()}
    monkeypatch.setattr(offer, "models", lambda: able)
    assert customer.make(input_reference=data_url(PICTURE)).status_code == 200
