"""A real S3 server (moto's, which honours If-None-Match) behind the proxy that spoils it."""

import os
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError

from tests.chaos.s3_proxy import S3Proxy
from tests.ports import free_port
from tests.stage import S3_KEY, S3_SECRET

BUCKET = "t2v-videos"
START_SECONDS = 60.0


def client(port: int) -> Any:
    """One that tries once, so that what is spoilt is seen."""
    return boto3.client(
        "s3",
        endpoint_url=f"http://127.0.0.1:{port}",
        region_name="us-east-1",
        aws_access_key_id=S3_KEY,
        aws_secret_access_key=S3_SECRET,
        config=Config(
            s3={"addressing_style": "path"}, retries={"total_max_attempts": 1}, read_timeout=10
        ),
    )


class S3Server:
    """With one private bucket. What it keeps is in its memory."""

    proxy: S3Proxy

    def __init__(self, log: Path, *, mark: str) -> None:
        """mark: what CHAOS_RUN in its environment says, by which a run finds what is its own."""
        self._log, self._mark = log, mark
        self._process: subprocess.Popen[bytes] | None = None
        self.port = free_port()

    @property
    def pid(self) -> int | None:
        return None if self._process is None else self._process.pid

    def start(self) -> None:
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(self.port)],
                env=os.environ | {"CHAOS_RUN": self._mark},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.proxy = S3Proxy(self.port)
        until = time.monotonic() + START_SECONDS
        with closing(client(self.port)) as direct:
            while True:
                try:
                    direct.create_bucket(Bucket=BUCKET)
                except BotoCoreError:  # nobody listens yet
                    assert time.monotonic() < until, "the S3 server does not answer"
                    time.sleep(0.05)
                else:
                    return

    def kill(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()
            self.proxy.close()
