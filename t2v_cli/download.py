"""A file from a site to this machine: resumed where it broke, checked, and there whole or not."""

import fcntl
import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from io import BufferedRandom
from pathlib import Path
from typing import Any

import httpx

from t2v_cli.address import origin
from t2v_cli.failures import Code, Failure, from_answer
from t2v_cli.pauses import retry_after
from t2v_cli.site import AGAIN, Site, Unreachable


@dataclass(frozen=True, slots=True, kw_only=True)
class Remote:
    """What the site says of one of a job's files."""

    name: str
    url: str
    size: int  # bytes
    sha256: str

    @classmethod
    def of(cls, told: dict[str, Any]) -> "Remote":
        return cls(
            name=str(told["name"]),
            url=str(told["url"]),
            size=int(told["size"]),
            sha256=str(told["sha256"]),
        )


class _Changed(Exception):
    """The bytes are not those that were promised: begin again, once."""


def is_there(remote: Remote, target: Path) -> bool:
    """Whether the very same file lies at the target already."""
    try:
        return target.stat().st_size == remote.size and _hash(target) == remote.sha256
    except FileNotFoundError:
        return False


def save(
    site: Site,
    find: Callable[[], Remote],
    target: Path,
    *,
    progress: Callable[[int], None],
) -> None:
    """Puts the file at the target; progress gets the bytes that are there so far. Raises Failure.

    find asks for the file anew: a signed link is worth five minutes, a download may take longer.
    What was fetched before lies beside it as .part, whose name holds the content's hash: half of
    another file is never taken for half of this one.
    """
    remote = find()
    part = target.with_name(f".{target.name}.{remote.sha256[:16]}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with part.open("a+b") as file:
            _lock(file, target)
            fetch = _Fetch(site, find, remote, file, progress)
            try:
                fetch.fill()
            except _Changed:
                site.tell(f"{remote.name} came otherwise than it was sent; fetching it anew.")
                fetch.fill_anew()
            file.flush()
            os.fsync(file.fileno())
            os.replace(part, target)
    except OSError as error:
        raise Failure(f"{target} cannot be written: {error.strerror}.", Code.USAGE) from error


def _lock(file: BufferedRandom, target: Path) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise Failure(f"Another t2v is fetching {target}.", Code.USAGE) from error


class _Fetch:
    """One file on its way, by as many tries as it takes."""

    def __init__(
        self,
        site: Site,
        find: Callable[[], Remote],
        remote: Remote,
        file: BufferedRandom,
        progress: Callable[[int], None],
    ) -> None:
        self._site, self._find, self._remote = site, find, remote
        self._file, self._progress = file, progress

    def _have(self) -> int:
        """Bytes that a crash would not take away any more."""
        self._file.flush()
        return os.fstat(self._file.fileno()).st_size

    def fill_anew(self) -> None:
        self._file.truncate(0)
        try:
            self.fill()
        except _Changed as error:
            self._file.truncate(0)
            message = f"{self._remote.name} is not the file that the site says it is (SHA-256)."
            raise Failure(message, Code.UNREACHABLE) from error

    def fill(self) -> None:
        """Raises _Changed where the result is another file."""
        patience = self._site.patience()
        while (have := self._have()) < self._remote.size:
            self._progress(have)
            asked: float | None = None
            try:
                asked, trouble = self._one_try(have)
            except Unreachable as unreachable:
                trouble = unreachable
            if self._have() > have:
                patience.renew()
            if trouble is not None:
                self._site.wait(patience, trouble, asked)
                self._remote = self._find()
        self._progress(have)
        self._file.seek(0)
        found = hashlib.file_digest(self._file, "sha256").hexdigest()
        if (have, found) != (self._remote.size, self._remote.sha256):
            raise _Changed

    def _one_try(self, have: int) -> tuple[float | None, Failure | None]:
        """The seconds that the site asks to wait, and what went wrong.

        Raises Unreachable, Failure where another try is of no use, and _Changed.
        """
        remote = self._remote
        headers = {"Range": f"bytes={have}-", "If-Range": f'"{remote.sha256}"'} if have else {}
        with self._site.file(remote.url, headers) as response:
            status = response.status_code
            if status == 416:
                raise _Changed  # it is shorter than what we have of it
            if status not in {200, 206}:
                return retry_after(response.headers.get("retry-after")), self._refused(response)
            if status == 206 and not _begins_at(response, have):
                raise _Changed
            if status == 200:
                self._file.truncate(0)
                have = 0
            for chunk in response.iter_raw():  # of a size of its own it would keep the rest back
                have += len(chunk)
                if have > remote.size:
                    raise _Changed
                self._file.write(chunk)
                self._progress(have)
        early = Failure(f"{remote.name} ended early.", Code.UNREACHABLE)
        return None, early if have < remote.size else None

    def _refused(self, response: httpx.Response) -> Failure:
        """What may be otherwise at the next try. Raises Failure for what will not.

        The file's address answers people: its errors are pages, or a storage's XML.
        """
        status, site = response.status_code, self._site.address
        failure = from_answer(status, None, site=site)
        if status == 403 and origin(str(response.url)) != origin(site):
            return Failure("The storage refused the link; it may be too old.", Code.UNREACHABLE)
        if status == 404:
            raise Failure("The site has this file no longer.", Code.NOT_FOUND)
        if status not in AGAIN:
            raise failure
        return failure


def _begins_at(response: httpx.Response, start: int) -> bool:
    said: str = response.headers.get("content-range", "")
    return said.startswith(f"bytes {start}-")


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
