"""/v1/videos/ID/content where files lie on S3: the SDKs follow the link, and show it no token."""

from collections.abc import Iterator

import boto3
import pytest
from django.db import transaction

from jobs import actions, artifacts, offer
from jobs.artifacts import Stored
from jobs.models import Job
from jobs.openai_shapes import VARIANTS, video_id
from tests.live.stage import Server, serving
from tests.sdk import site as sites
from tests.sdk.client import NAMES, Sdk, bytes_of
from tests.sdk.site import Site
from tests.stage import s3_server

pytestmark = [pytest.mark.whole, pytest.mark.django_db]


@pytest.fixture(scope="module")
def bucket(
    site: Site, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Server, str, Job]]:
    """A replica whose files are on S3, a token, and a video of its owner there."""
    folder = tmp_path_factory.mktemp("bucket")
    owner, token = sites.person("bucket")
    with s3_server(folder) as s3, serving(Server("daphne", folder / "web.log", **s3)) as server:
        store = boto3.client(
            "s3",
            endpoint_url=s3["T2V_S3_ENDPOINT"],
            aws_access_key_id=s3["T2V_S3_ACCESS_KEY"],
            aws_secret_access_key=s3["T2V_S3_SECRET_KEY"],
            region_name="us-east-1",
        )
        blank = dict.fromkeys(("model", "size", "frames", "steps", "guidance", "seed"))
        with transaction.atomic():
            job = actions.submit(owner=owner, spec=offer.make_spec(prompt="It is there", **blank))
            Job.objects.filter(pk=job.pk).update(pool="bucket")
            held = actions.claim(worker="bucket/1", pool="bucket")
            assert held is not None
            stored = []
            for name in VARIANTS.values():
                key = artifacts.key_for(job.pk, held.attempt, name)
                kind, content = artifacts.CONTENT_TYPES[name], f"the {name}".encode()
                store.put_object(Bucket=s3["T2V_S3_BUCKET"], Key=key, Body=content)
                size, sha256 = len(content), 64 * "0"
                stored.append(
                    Stored(name=name, key=key, content_type=kind, size=size, sha256=sha256)
                )
            actions.succeed(held, stored)
        yield server, token, job
        assert server.errors() == ""


@pytest.mark.parametrize("name", NAMES)
def test_content_comes_by_a_link_whatever_the_sdk(
    name: str, bucket: tuple[Server, str, Job]
) -> None:
    server, token, job = bucket
    sdk = Sdk(name, f"{server.url}/v1", token)
    try:
        for variant, file in VARIANTS.items():
            found = sdk("videos.download_content", video_id=video_id(job.pk), variant=variant)
            assert bytes_of(found) == f"the {file}".encode()
            assert found.headers["content-type"] == artifacts.CONTENT_TYPES[file]
        part = sdk(
            "videos.download_content",
            video_id=video_id(job.pk),
            extra_headers={"Range": "bytes=4-8"},
        )
        assert bytes_of(part) == b"video"  # this S3 server calls a part 200
    finally:
        sdk.close()
