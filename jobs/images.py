"""A picture that a stranger sent: checked in a process of its own, never written to a disk.

What comes back is made anew from its pixels, so that nothing else of the upload is left in it.
"""

import base64
import binascii
import json
import logging
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from django.core.files.uploadedfile import UploadedFile
from django.core.files.uploadhandler import MemoryFileUploadHandler

from jobs.errors import BadImage, ImagesBusy, TooLarge

logger = logging.getLogger(__name__)

MAX_BYTES = 10 * 1024 * 1024  # of one picture, and of all files of a request
CHECK_SECONDS = 15.0  # of the clock; the process itself has a limit of its CPU time
AT_ONCE = 2  # checks in one web process: each may take 640 MB
QUEUE_SECONDS = 10.0  # for one of them to be free
CHECKER = Path(__file__).with_name("image_check.py")

_free = threading.BoundedSemaphore(AT_ONCE)


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedImage:
    width: int  # pixels
    height: int  # pixels
    kind: str  # of the upload, by its bytes: PNG, JPEG, WEBP
    png: bytes = field(repr=False)  # the picture made anew, RGB, without any metadata


class InMemory(MemoryFileUploadHandler):
    """Keeps what is uploaded out of the disk; all files of a request have MAX_BYTES together."""

    def handle_raw_input(
        self,
        input_data: Any,
        META: Any,
        content_length: int,
        boundary: Any,
        encoding: str | None = None,
    ) -> None:
        self.activated, self._came = True, 0

    def receive_data_chunk(self, raw_data: bytes, start: int) -> bytes | None:
        """Raises TooLarge."""
        self._came += len(raw_data)
        if self._came > MAX_BYTES:
            raise TooLarge(MAX_BYTES)
        return super().receive_data_chunk(raw_data, start)


def checked(upload: "UploadedFile[Any] | bytes", *, field: str = "image") -> CheckedImage:
    """Raises BadImage with a sentence for people, TooLarge, and ImagesBusy where many come."""
    content = upload if isinstance(upload, bytes) else upload.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise TooLarge(MAX_BYTES)
    if not content:
        raise BadImage("It is empty.", field)
    if not _free.acquire(timeout=QUEUE_SECONDS):
        raise ImagesBusy
    try:
        return _read(_run(content, field), field)
    finally:
        _free.release()


def from_data_url(text: str, *, field: str = "image") -> bytes:
    """What a data: URL in base64 holds. Raises BadImage for any other address: none is fetched."""
    head, comma, body = text.partition(",")
    if not head.lower().startswith("data:") or not comma:
        raise BadImage(
            "Send the picture itself, as a file or a data: URL; no address is fetched.", field
        )
    if not head.lower().endswith(";base64"):
        raise BadImage("A data: URL must be in base64.", field)
    try:
        return base64.b64decode(body.strip(), validate=True)
    except (binascii.Error, ValueError):
        raise BadImage("The data: URL is no base64.", field) from None


def _run(content: bytes, field: str) -> bytes:
    try:
        done = subprocess.run(  # noqa: S603 - our own file and no argument of theirs
            [sys.executable, "-I", str(CHECKER)],
            input=content,
            capture_output=True,
            timeout=CHECK_SECONDS,
            check=False,
            env={},
            cwd="/",
        )
    except subprocess.TimeoutExpired:
        raise BadImage("It takes too long to read.", field) from None
    if done.returncode != 0:
        # Killed by one of its limits, most likely: the words would be Pillow's, not ours.
        logger.warning("the image check ended with %d", done.returncode)
        raise BadImage("It cannot be read within the limits of a picture.", field)
    return done.stdout


def _read(answer: bytes, field: str) -> CheckedImage:
    line, _, png = answer.partition(b"\n")
    told = json.loads(line)
    if "refused" in told:
        raise BadImage(str(told["refused"]), field)
    assert len(png) == told["size"], "the check's own words and bytes"
    return CheckedImage(width=told["width"], height=told["height"], kind=told["kind"], png=png)
