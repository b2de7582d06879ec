"""Each request is counted for a part of the site, and for no address of its own."""

import pytest
from django.test import Client

from jobs.metrics import instruments
from t2v_site.measured import surface_of


@pytest.mark.parametrize(
    ("path", "surface"),
    [
        ("/", "page"),
        ("/library", "page"),
        ("/jobs/0b7c34b3-0000-0000-0000-000000000000/", "page"),
        ("/jobs/0b7c34b3-0000-0000-0000-000000000000/1/video.mp4", "files"),
        ("/library/zip", "files"),
        ("/static/css/house.css", "files"),
        ("/api/v1/jobs", "api"),
        ("/api/v1/events", "events"),
        ("/api/v1/jobs/0b7c34b3-0000-0000-0000-000000000000/events", "events"),
        ("/v1/videos", "v1"),
        ("/v1/videos/video_1/content", "files"),
        ("/admin/", "admin"),
        ("/accounts/login/", "accounts"),
        ("/_allauth/app/v1/config", "accounts"),
        ("/metrics", "other"),
        ("/healthz/live", "other"),
    ],
)
def test_each_address_belongs_to_a_surface(path: str, surface: str) -> None:
    assert surface_of(path) == surface


@pytest.mark.django_db
def test_a_request_is_counted_once_and_what_is_no_page_as_other(
    client: Client, counted: instruments.Counted
) -> None:
    client.get("/healthz/live")
    client.get("/nothing-of-ours/7f3a")
    client.get("/api/v1/jobs")

    def requests(surface: str, status: str) -> float | None:
        labels = {"surface": surface, "method": "GET", "status": status}
        return counted.registry.get_sample_value("t2v_http_requests_total", labels)

    assert requests("other", "2xx") == 1
    assert requests("other", "4xx") == 1
    assert requests("api", "4xx") == 1
    assert requests("page", "4xx") is None
    seconds = "t2v_http_request_seconds_count"
    assert counted.registry.get_sample_value(seconds, {"surface": "other"}) == 2
