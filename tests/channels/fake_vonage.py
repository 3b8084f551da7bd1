"""A Vonage Messages API of our own: takes only what Vonage documents, refuses as it does, and signs its callbacks."""

import base64
import hashlib
import json
import re
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.channels.listener import Given, Request, serving

API_KEY, API_SECRET = "abcd1234", "vonage-api-secret-canary"
APPLICATION = "aaaaaaaa-bbbb-cccc-dddd-0123456789ab"
SIGNATURE_SECRET = "vonage-signature-secret-canary-" + "0123456789abcdef" * 3
PRIVATE_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
PEM = PRIVATE_KEY.private_bytes(
    serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
).decode()
REQUIRED = {"message_type", "channel", "to", "from", "text"}
OPTIONAL = {"client_ref", "webhook_url", "webhook_version", "ttl", "sms"}
ERRORS = {
    "15005550402": (402, "https://developer.vonage.com/api-errors#low-balance", "Low balance"),
    "15005550403": (403, "https://developer.vonage.com/api-errors#forbidden", "Forbidden"),
    "15005550429": (429, "https://developer.vonage.com/api-errors/messages#1010", "Rate Limit Hit"),
    "15005550500": (500, "https://developer.vonage.com/api-errors#internal-error", "Internal Error"),
    "15005551120": (422, "https://developer.nexmo.com/api-errors/messages-olympus#1120", "Invalid sender"),
    "15005551170": (422, "https://developer.vonage.com/api-errors/messages#1170", "Invalid or Missing Msisdn Param"),
    "15005551240": (422, "https://developer.vonage.com/api-errors/messages#1240", "Illegal Number"),
    "15005551320": (422, "https://developer.vonage.com/api-errors/messages#1320", "Message already sent"),
    "15005551000": (422, "https://developer.vonage.com/api-errors/messages#1000", "Throttled"),
    "15005559999": (422, "https://developer.vonage.com/api-errors/messages#9999", "Something new"),
}
LOST = "15005550000"


class Refused(Exception):
    def __init__(self, status: int, kind: str, title: str) -> None:
        super().__init__(title)
        self.status, self.kind = status, kind


@dataclass
class FakeVonage:
    """``messages``: what was taken, by UUID. ``signed_in``: how, each time."""

    client: httpx.Client
    url: str = ""
    messages: dict[str, dict[str, Any]] = field(default_factory=dict)
    signed_in: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    _tokens: set[str] = field(default_factory=set)

    def answer(self, request: Request) -> Given:
        try:
            message = self._checked(request)
        except Refused as error:
            self.refused.append(str(error))
            problem = {"type": error.kind, "title": str(error), "detail": "See the type", "instance": uuid.uuid4().hex}
            wait = {"Retry-After": "3"} if error.status == 429 else {}
            return Given(error.status, json.dumps(problem).encode(), "application/problem+json", wait)
        found = str(uuid.uuid4())
        self.messages[found] = message
        if message["to"] == LOST:
            return Given(0)
        return Given(202, json.dumps({"message_uuid": found}).encode(), "application/json")

    def report(self, message_id: str, status: str, *, error: int | None = None) -> httpx.Response:
        message = self.messages[message_id]
        said = {
            "message_uuid": message_id,
            "to": message["to"],
            "from": message["from"],
            "timestamp": "2026-11-21T14:00:00Z",
            "status": status,
            "channel": "sms",
            "client_ref": message.get("client_ref"),
            "usage": {"currency": "EUR", "price": "0.0333"},
            "sms": {"count_total": "1"},
        }
        if error is not None:
            kind = f"https://developer.vonage.com/api-errors/messages#{error}"
            said["error"] = {"type": kind, "title": error, "detail": "As listed", "instance": uuid.uuid4().hex}
        return self.call(message["webhook_url"], said)

    def write(self, url: str, text: str) -> httpx.Response:
        said = {
            "channel": "sms",
            "message_uuid": str(uuid.uuid4()),
            "to": "447700900001",
            "from": "447700900000",
            "timestamp": "2020-01-01 14:00:00 UTC",
            "message_type": "text",
            "text": text,
            "sms": {"num_messages": "1", "keyword": text.upper().split()[0]},
        }
        return self.call(url, said)

    def call(self, url: str, said: dict[str, Any], **changes: Any) -> httpx.Response:
        """``changes``: of the claims, to sign wrongly; ``secret`` signs by another."""
        body = json.dumps(said, separators=(",", ":"), ensure_ascii=False).encode()
        return self.client.post(
            url,
            content=body,
            headers={"Content-Type": "application/json", "Authorization": f"Bearer {token(body, **changes)}"},
        )

    def _checked(self, request: Request) -> dict[str, Any]:
        if (request.method, request.target) != ("POST", "/v1/messages"):
            raise Refused(404, "https://developer.vonage.com/api-errors#not-found", "Not Found")
        self.signed_in.append(self._signed_in(request.headers.get("authorization", "")))
        if request.headers.get("content-type") != "application/json":
            raise Refused(415, "https://developer.vonage.com/api-errors#unsupported", "Unsupported media type")
        message: dict[str, Any] = json.loads(request.body)
        if not REQUIRED <= set(message) <= REQUIRED | OPTIONAL:
            raise _invalid(f"parameters {sorted(message)}")
        _check(message)
        return message

    def _signed_in(self, given: str) -> str:
        if given == "Basic " + base64.b64encode(f"{API_KEY}:{API_SECRET}".encode()).decode():
            return "basic"
        options: Any = {"require": ["application_id", "iat", "exp", "jti"]}
        try:
            claims = jwt.decode(given.removeprefix("Bearer "), PRIVATE_KEY.public_key(), ["RS256"], options=options)
        except jwt.PyJWTError as error:
            raise Refused(401, "https://developer.vonage.com/api-errors#unauthorized", "Unauthorized") from error
        if claims["application_id"] != APPLICATION or claims["jti"] in self._tokens:
            raise Refused(401, "https://developer.vonage.com/api-errors#unauthorized", "Unauthorized")
        self._tokens.add(claims["jti"])
        return "jwt"


def _check(message: dict[str, Any]) -> None:
    if (message["message_type"], message["channel"]) != ("text", "sms"):
        raise _invalid("message_type or channel")
    if not re.fullmatch(r"[1-9][0-9]{6,14}", message["to"]):
        raise _invalid("to: a number without +")
    if not re.fullmatch(r"[A-Za-z0-9 ]{1,15}", message["from"]):
        raise _invalid("from")
    if not 1 <= len(message["text"]) <= 1000:
        raise _invalid("text")
    if len(message.get("client_ref", "")) > 100 or message.get("webhook_version", "v1") not in {"v0.1", "v1"}:
        raise _invalid("client_ref or webhook_version")
    if not re.match(r"https?://", message.get("webhook_url", "https://")):
        raise _invalid("webhook_url")
    if message["to"] in ERRORS:
        raise Refused(*ERRORS[message["to"]])


def _invalid(what: str) -> Refused:
    return Refused(422, "https://developer.vonage.com/api-errors#invalid-params", f"Invalid params: {what}")


def token(body: bytes, *, secret: str = SIGNATURE_SECRET, algorithm: str = "HS256", **changes: Any) -> str:
    claims = {
        "iat": int(time.time()),
        "jti": str(uuid.uuid4()),
        "iss": "Vonage",
        "api_key": API_KEY,
        "application_id": APPLICATION,
        "payload_hash": hashlib.sha256(body).hexdigest(),
        **changes,
    }
    kept = {name: value for name, value in claims.items() if value is not None}
    return jwt.encode(kept, None if algorithm == "none" else secret, algorithm=algorithm)  # type: ignore[arg-type]


@contextmanager
def fake_vonage() -> Iterator[FakeVonage]:
    with httpx.Client(trust_env=False) as client:
        found = FakeVonage(client)
        with serving(found.answer) as found.url:
            yield found
