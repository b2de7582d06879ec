"""A provider that answers whatever a test wants it to, signed with whatever key."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

KID = "of the provider"


def new_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def public(key: rsa.RSAPrivateKey, **more: str) -> dict[str, Any]:
    found: dict[str, Any] = jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key(), as_dict=True)
    return found | {"kid": KID, "use": "sig"} | more


class Liar:
    """Each attribute may be set by a test; honest() makes them true again."""

    def __init__(self) -> None:
        self.key = new_key()
        self.issuer = ""
        self.client = "t2v"
        self.honest()

    def honest(self) -> None:
        self.keys = [public(self.key)]
        self.discovery: dict[str, Any] = {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/keys",
            "userinfo_endpoint": f"{self.issuer}/me",
        }
        self.person: dict[str, Any] = {
            "sub": "one",
            "email": "new@example.com",
            "email_verified": True,
        }
        self.sign: Callable[[dict[str, Any]], str] = self.signed
        self.claims: dict[str, Any] = {}  # instead of the true ones; a None leaves one out
        self.info: dict[str, Any] = {}  # the same of the user-info
        self.nonce = ""
        self.broken = False

    def signed(self, claims: dict[str, Any], **header: Any) -> str:
        return jwt.encode(claims, self.key, algorithm="RS256", headers={"kid": KID} | header)

    def answer(self, path: str) -> dict[str, Any]:
        now = int(time.time())
        if path == "/.well-known/openid-configuration":
            return self.discovery
        if path == "/keys":
            return {"keys": self.keys}
        if path == "/me":
            return self.person | self.info
        true = {"iss": self.issuer, "aud": self.client, "iat": now, "exp": now + 60}
        claims = true | self.person | {"nonce": self.nonce} | self.claims
        claims = {name: value for name, value in claims.items() if value is not None}
        return {"access_token": "x", "token_type": "Bearer", "id_token": self.sign(claims)}


@contextmanager
def lying() -> Iterator[Liar]:
    liar = Liar()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps(liar.answer(self.path)).encode()
            self.send_response(500 if liar.broken else 200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.do_GET()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    liar.issuer = f"http://127.0.0.1:{server.server_port}"
    liar.honest()
    try:
        yield liar
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
