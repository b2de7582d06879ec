"""Where files go: a folder, or the S3 backend of django-storages; both write every key once."""

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

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.client_config: Config = self.client_config.merge(_LIMITS)

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
