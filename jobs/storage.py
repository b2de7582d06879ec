"""Where files go: a folder, or the S3 backend of django-storages; both write every key once."""

import os
from functools import lru_cache
from pathlib import Path
from typing import Any

from botocore.config import Config
from botocore.exceptions import ClientError
from django.conf import settings
from django.core.files.storage import FileSystemStorage
from storages.backends.s3 import S3Storage
from storages.utils import clean_name

# A store that hangs must not hold a worker up for the five minutes of the client's own limits.
_LIMITS = Config(
    connect_timeout=5,  # seconds
    read_timeout=20,  # seconds
    retries={"mode": "standard", "total_max_attempts": 3},
    # Every file is read whole against its SHA-256; and some stores send the checksum of the whole
    # file with a part of it, which the client then takes for damage.
    response_checksum_validation="when_required",
)
_TAKEN = 412  # a 409 says that another upload of the key is under way: try again


class Folder(FileSystemStorage):
    """Raises FileExistsError where Django's own would choose another name."""

    def answer(self, seconds: float) -> None:
        """A small question; a disk of the network that is away raises OSError, or hangs."""
        here = Path(self.location)
        os.stat(here if here.exists() else here.parent)  # it is made with the first file

    def get_available_name(self, name: str, max_length: int | None = None) -> str:
        if self.exists(name):
            raise FileExistsError(name)
        return name


class S3(S3Storage):  # type: ignore[misc]  # it has no types
    """One PUT for one file, refused by the store itself when the key is taken.

    Raises FileExistsError then. A store that does not know If-None-Match either ignores it or, with
    T2V_S3_CONDITIONAL=0, is asked beforehand: that leaves a gap of one request, in which only an
    attempt's own repeat could fall, since the key carries the attempt.
    """

    def __init__(self, *, public_endpoint: str | None = None, **options: Any) -> None:
        """public_endpoint: the URL at which browsers reach the store, where that is another one."""
        super().__init__(**options)
        self.client_config: Config = self.client_config.merge(_LIMITS)
        # A signature covers the host, so a link for browsers is signed for the one they will name.
        self._signer = (
            S3Storage(**options | {"endpoint_url": public_endpoint}) if public_endpoint else None
        )

    def url(self, name: str, *rest: Any, **parameters: Any) -> str:
        if self._signer is not None:
            return str(self._signer.url(name, *rest, **parameters))
        return str(super().url(name, *rest, **parameters))

    def answer(self, seconds: float) -> None:
        """A small question, asked once. Raises what boto raises."""
        self._hurried(seconds).list_objects_v2(Bucket=self.bucket_name, Prefix="jobs/", MaxKeys=1)

    @lru_cache(maxsize=1)  # noqa: B019 - one storage for a process, and 50 ms to make
    def _hurried(self, seconds: float) -> Any:
        hurry = Config(
            connect_timeout=seconds, read_timeout=seconds, retries={"total_max_attempts": 1}
        )
        return self._create_session().client(
            "s3",
            region_name=self.region_name,
            use_ssl=self.use_ssl,
            endpoint_url=self.endpoint_url,
            config=self.client_config.merge(hurry),
            verify=self.verify,
        )

    def get_available_name(self, name: str, max_length: int | None = None) -> str:
        """The name itself: a second name would only hide the conflict."""
        return clean_name(name)  # type: ignore[no-any-return]

    def _save(self, name: str, content: Any) -> str:
        cleaned = clean_name(name)
        key = self._normalize_name(cleaned)
        parameters = self._get_write_parameters(key, content)
        if settings.S3_CONDITIONAL:
            parameters["IfNoneMatch"] = "*"
        elif self.exists(name):
            raise FileExistsError(key)
        content.seek(0)
        try:
            self.connection.meta.client.put_object(
                Bucket=self.bucket_name, Key=key, Body=content, **parameters
            )
        except ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] == _TAKEN:
                raise FileExistsError(key) from error
            raise
        return str(cleaned)
