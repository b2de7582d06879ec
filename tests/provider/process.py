"""The real provider: its process, and the browser of somebody who has an account there."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urljoin

import httpx
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

ROOT = Path(__file__).resolve().parents[2]
CLIENT, SECRET, PASSWORD = "t2v", "a secret of the client", "a password there"
# Whether the provider has verified their address.
PEOPLE = {
    "alice@example.com": True,
    "new@example.com": True,
    "unverified@example.com": False,
    "mallory@elsewhere.example": True,
}


class Provider:
    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.issuer = f"http://127.0.0.1:{self._line()}"

    def _line(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline().strip()
        assert line, "the provider did not survive; its last words are above"
        return line

    def set_groups(self, email: str, *groups: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{email} {','.join(groups)}\n")
        self._process.stdin.flush()
        assert self._line() == "done"

    def send_back(self, question: str, email: str) -> str:
        """Where the provider sends the browser after its owner signed in there."""
        with httpx.Client(timeout=10) as browser:
            page = browser.get(question, follow_redirects=True)
            token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page.text)
            assert token is not None, page.text
            form = {"login": email, "password": PASSWORD, "csrfmiddlewaretoken": token[1]}
            answer = browser.post(page.url, data=form)
            while answer.has_redirect_location:
                where = urljoin(str(answer.url), answer.headers["Location"])
                if not where.startswith(self.issuer):
                    return where
                answer = browser.get(where)
        raise AssertionError(answer.text)


@contextmanager
def running(folder: Path, callback: str) -> Iterator[Provider]:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    (folder / "key.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.provider", callback],
        cwd=ROOT,
        env={**os.environ, "PROVIDER_FOLDER": str(folder)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield Provider(process)
    finally:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.close()
        process.wait(10)
        process.stdout.close()
