"""An issuer of tokens on loopback: a managed identity endpoint of App Service, OpenID metadata, and the keys."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

AUDIENCE = "https://dynamicsessions.io"
OBJECT_ID = "11111111-2222-4333-8444-555555555555"
HEADER = "the-secret-of-the-identity-endpoint"


def new_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@dataclass
class Issuer:
    """Gives signed tokens to whoever knows `HEADER`.

    Attributes:
        lifetime_seconds: of the tokens that are given from now on.
        claims: what else they say, or say instead.
        given: the tokens given so far.
        is_open: cleared to let requests for tokens wait.
        other_keys: further entries of the document of keys.
        name: what the metadata say instead of the URL.
        keys_url: where they say that the keys are, if not here.
    """

    url: str = ""
    lifetime_seconds: int = 3600
    claims: dict[str, Any] = field(default_factory=dict)
    given: list[str] = field(default_factory=list)
    resources: list[str] = field(default_factory=list)
    client_ids: list[str] = field(default_factory=list)
    is_open: threading.Event = field(default_factory=threading.Event)
    key: rsa.RSAPrivateKey = field(default_factory=new_key)
    key_id: str = "key-1"
    fetches: int = 0
    other_keys: list[Any] = field(default_factory=list)
    name: str = ""
    keys_url: str = ""

    @property
    def environ(self) -> dict[str, str]:
        """What App Service puts into the environment of a program that has a managed identity."""
        return {"IDENTITY_ENDPOINT": f"{self.url}/token", "IDENTITY_HEADER": HEADER}

    def sign(self, **claims: Any) -> str:
        """Return a token; `claims` that are `None` are left out."""
        now = int(time.time())
        defaults = {
            "iss": self.url, "aud": AUDIENCE, "oid": OBJECT_ID, "tid": "a-tenant",
            "nbf": now, "exp": now + self.lifetime_seconds, "jti": str(len(self.given)),
        }  # fmt: skip
        said = {name: value for name, value in (defaults | self.claims | claims).items() if value is not None}
        return jwt.encode(said, self.key, algorithm="RS256", headers={"kid": self.key_id})

    def answer(self, path: str, identity_header: str) -> tuple[int, dict[str, Any]]:
        parts = urlsplit(path)
        match parts.path:
            case "/token":
                return self._give({name: values[0] for name, values in parse_qs(parts.query).items()}, identity_header)
            case "/.well-known/openid-configuration":
                self.fetches += 1
                return 200, {"issuer": self.name or self.url, "jwks_uri": self.keys_url or f"{self.url}/keys"}
            case "/keys":
                key = jwt.algorithms.RSAAlgorithm.to_jwk(self.key.public_key(), as_dict=True)
                return 200, {"keys": [{**key, "kid": self.key_id, "use": "sig"}, *self.other_keys]}
            case _:
                return 404, {}

    def _give(self, query: dict[str, str], identity_header: str) -> tuple[int, dict[str, Any]]:
        if identity_header != HEADER:
            return 401, {"statusCode": 401, "message": "no such identity"}
        self.resources.append(query["resource"])
        self.client_ids.append(query.get("client_id", ""))
        self.is_open.wait()
        token = self.sign()
        self.given.append(token)
        expires_on = jwt.decode(token, options={"verify_signature": False})["exp"]
        return 200, {"access_token": token, "expires_on": str(expires_on), "resource": query["resource"],
                     "token_type": "Bearer"}  # fmt: skip


@contextmanager
def run_issuer() -> Iterator[Issuer]:
    """Run an issuer on a free port of loopback."""
    issuer = Issuer()
    issuer.is_open.set()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = issuer.answer(self.path, self.headers.get("x-identity-header", ""))
            content = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_arguments: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        issuer.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield issuer
        finally:
            issuer.is_open.set()
            server.shutdown()
            thread.join()
