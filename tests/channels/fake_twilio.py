"""A Twilio of our own: takes only what Twilio documents, signs as its own library does, and calls back on demand.

The recipients of its test credentials have the errors that Twilio gives them; a few more stand for faults.
"""

import base64
import inspect
import json
import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlsplit

import httpx
from twilio.request_validator import RequestValidator
from twilio.rest.api.v2010.account.message import MessageList

from tests.channels.listener import Given, Request, serving

ACCOUNT = "AC" + "0123456789abcdef" * 2
TOKEN = "twilio-auth-token-canary-0000000"
KEY, KEY_SECRET = "SK" + "fedcba9876543210" * 2, "twilio-api-key-secret-canary"
SENDER, SERVICE = "+15005550006", "MG" + "00112233445566778899aabbccddeeff"
ERRORS = {
    "+15005550001": (400, 21211),
    "+15005550002": (400, 21612),
    "+15005550003": (403, 21408),
    "+15005550004": (400, 21610),
    "+15005550009": (400, 21614),
    "+15005550429": (429, 20429),
    "+15005550503": (503, 20503),
    "+15005550400": (400, 29999),
    "+15005550611": (400, 21611),
}
LOST = "+15005550000"
# Of the library's own method, as the API spells them.
PARAMETERS = {
    {"from_": "From"}.get(name, "".join(part.capitalize() for part in name.split("_")))
    for name in inspect.signature(MessageList.create).parameters
    if name != "self"
}


class Refused(Exception):
    def __init__(self, status: int, code: int, why: str) -> None:
        super().__init__(why)
        self.status, self.code = status, code


@dataclass
class FakeTwilio:
    """``messages``: what was taken, by SID."""

    client: httpx.Client
    url: str = ""
    messages: dict[str, dict[str, str]] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)

    def answer(self, request: Request) -> Given:
        try:
            form = self._checked(request)
        except Refused as error:
            self.refused.append(str(error))
            more = f"https://www.twilio.com/docs/errors/{error.code}"
            problem = {"code": error.code, "message": str(error), "more_info": more, "status": error.status}
            wait = {"Retry-After": "7"} if error.status == 429 else {}
            return Given(error.status, json.dumps(problem).encode(), "application/json", wait)
        sid = f"SM{uuid.uuid4().hex}"
        self.messages[sid] = form
        if form["To"] == LOST:
            return Given(0)
        content = {"sid": sid, "status": "queued", "account_sid": ACCOUNT, "to": form["To"], "error_code": None}
        return Given(201, json.dumps(content).encode(), "application/json")

    def report(self, sid: str, status: str, *, error_code: int | None = None, url: str | None = None) -> httpx.Response:
        form = self.messages[sid]
        said = {
            "AccountSid": ACCOUNT,
            "ApiVersion": "2010-04-01",
            "From": form.get("From", SENDER),
            "To": form["To"],
            "MessageSid": sid,
            "SmsSid": sid,
            "MessageStatus": status,
            "SmsStatus": status,
            **({} if error_code is None else {"ErrorCode": str(error_code), "ErrorMessage": ""}),
        }
        return self.call(url or form["StatusCallback"], said)

    def write(self, url: str, body: str, *, opt_out_type: str | None = None) -> httpx.Response:
        sid = f"SM{uuid.uuid4().hex}"
        said = {
            "AccountSid": ACCOUNT,
            "ApiVersion": "2010-04-01",
            "From": "+15005550010",
            "To": SENDER,
            "MessageSid": sid,
            "SmsMessageSid": sid,
            "SmsSid": sid,
            "SmsStatus": "received",
            "Body": body,
            "NumMedia": "0",
            "NumSegments": "1",
            "FromCity": "",
            "FromState": "",
            **({} if opt_out_type is None else {"OptOutType": opt_out_type}),
        }
        return self.call(url, said)

    def call(self, url: str, said: dict[str, str], *, token: str = TOKEN) -> httpx.Response:
        signature = RequestValidator(token).compute_signature(url, said)
        return self.client.post(url, data=said, headers={"X-Twilio-Signature": signature})

    def _checked(self, request: Request) -> dict[str, str]:
        if (request.method, request.target) != ("POST", f"/2010-04-01/Accounts/{ACCOUNT}/Messages.json"):
            raise Refused(404, 20404, "The requested resource was not found")
        if request.headers.get("authorization") not in {_basic(ACCOUNT, TOKEN), _basic(KEY, KEY_SECRET)}:
            raise Refused(401, 20003, "Authenticate")
        if request.headers.get("content-type") != "application/x-www-form-urlencoded":
            raise Refused(415, 20415, "Unsupported content type")
        fields = parse_qs(request.body.decode("ascii"), keep_blank_values=True, strict_parsing=True)
        if unknown := set(fields) - PARAMETERS:
            raise Refused(400, 20001, f"Unknown parameters {unknown}")
        if any(len(values) > 1 for values in fields.values()):
            raise Refused(400, 20001, "A parameter is there twice")
        form = {name: values[0] for name, values in fields.items()}
        _check(form)
        return form


def _check(form: dict[str, str]) -> None:
    recipient, sender = form.get("To", ""), form.get("From")
    if not re.fullmatch(r"\+[1-9][0-9]{6,14}", recipient):
        raise Refused(400, 21211, f"The 'To' number {recipient} is not a valid phone number.")
    if sender is None and form.get("MessagingServiceSid") != SERVICE:
        raise Refused(400, 21603, "A 'From' phone number is required.")
    if sender is not None and sender not in {SENDER, "ACME", "12345"}:
        raise Refused(400, 21659, f"'From' {sender} is not a Twilio phone number")
    if not form.get("Body"):
        raise Refused(400, 21602, "Message body is required.")
    if len(form["Body"]) > 1600:
        raise Refused(400, 21617, "The concatenated message body exceeds the 1600 character limit.")
    callback = urlsplit(form.get("StatusCallback", "https://example.com"))
    if callback.scheme not in {"http", "https"} or not callback.hostname or "_" in callback.hostname:
        raise Refused(400, 21609, "The StatusCallback URL is not valid")
    if recipient in ERRORS:
        status, code = ERRORS[recipient]
        raise Refused(status, code, f"Of the test number {recipient}")


def _basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


@contextmanager
def fake_twilio() -> Iterator[FakeTwilio]:
    with httpx.Client(trust_env=False) as client:
        found = FakeTwilio(client)
        with serving(found.answer) as found.url:
            yield found
