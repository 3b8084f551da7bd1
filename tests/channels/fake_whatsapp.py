"""A WhatsApp Cloud API of our own: takes only what Meta documents, signs as Meta signs, reports twice and in disorder.

Forms: "Messages", "Webhooks, messages" and "Error codes" of Meta's reference, 2026.
"""

import hmac
import json
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from paylink.channels.base import Callback

PHONE_NUMBER_ID = "106540352242922"
DISPLAY_NUMBER = "15550783881"
ACCESS_TOKEN = "EAAJB-access-token-of-a-system-user"
APP_SECRET = "0123456789abcdef0123456789abcdef"
VERIFY_TOKEN = "made-up-by-the-merchant"
VERSION = "v24.0"
CALLBACK_URL = "https://console.example.com/webhooks/messaging/whatsapp/chn_1"

# Each approved template: its languages, and how many places its text has.
TEMPLATES = {"payment_request": ({"en_GB", "de", "zh_CN"}, 3), "bare_link": ({"en"}, 0)}
STATUS_OF = {190: 401, 10: 403, 131000: 500, 131016: 500, 130429: 429, 133004: 503}


class Refused(Exception):
    def __init__(self, code: int, details: str) -> None:
        super().__init__(f"({code}) {details}")
        self.code = code
        self.details = details


def exactly(item: object, required: set[str], optional: set[str] = frozenset()) -> dict[str, Any]:
    """An object with these members and no other: Meta answers 100 to a member that it does not know."""
    if not isinstance(item, dict) or not required <= set(item) <= required | set(optional):
        raise Refused(100, f"expected an object of {sorted(required)}")
    return item


def text_of(item: object, longest: int, *, code: int = 100) -> str:
    if not isinstance(item, str) or not 1 <= len(item) <= longest:
        raise Refused(code, f"expected a text of 1 to {longest} characters")
    return item


def check_message(body: object) -> dict[str, Any]:
    common = {"messaging_product", "recipient_type", "to", "type"}
    kind = body.get("type") if isinstance(body, dict) else None
    if kind not in {"template", "text"}:
        raise Refused(131051, "unsupported message type")
    message = exactly(body, common | {kind}, {"biz_opaque_callback_data"})
    if (message["messaging_product"], message["recipient_type"]) != ("whatsapp", "individual"):
        raise Refused(100, "messaging_product or recipient_type")
    if not re.fullmatch(r"\+?[1-9][0-9]{6,14}", text_of(message["to"], 16)):
        raise Refused(131009, "to is not a phone number")
    text_of(message.get("biz_opaque_callback_data", "-"), 512)
    if kind == "text":
        text = exactly(message["text"], {"body"}, {"preview_url"})
        text_of(text["body"], 4096)
        if not isinstance(text.get("preview_url", False), bool):
            raise Refused(100, "preview_url is a boolean")
    else:
        check_template(message["template"])
    return message


def check_template(item: object) -> None:
    template = exactly(item, {"name", "language"}, {"components"})
    languages, places = TEMPLATES.get(text_of(template["name"], 512), (set(), 0))
    if exactly(template["language"], {"code"})["code"] not in languages:
        raise Refused(132001, "Template name does not exist in the translation")
    kinds = []
    for component in template.get("components", []):
        kind = component.get("type") if isinstance(component, dict) else None
        kinds.append(kind)
        if kind == "body":
            check_places(exactly(component, {"type", "parameters"})["parameters"], places)
        elif kind == "button":
            button = exactly(component, {"type", "sub_type", "index", "parameters"})
            if (button["sub_type"], button["index"]) != ("url", "0"):
                raise Refused(131009, "the template has one URL button, at index 0")
            check_places(button["parameters"], 1)
            if not re.fullmatch(r"[\w-]+", button["parameters"][0]["text"]):
                raise Refused(131009, "what the button's address ends in is not a part of a path")
        else:
            raise Refused(100, "an unknown kind of component")
    if kinds != ["body"] * bool(places) + ["button"]:
        raise Refused(132000, f"the template wants a body with {places} places, and its button")


def check_places(parameters: object, count: int) -> None:
    if not isinstance(parameters, list) or len(parameters) != count:
        raise Refused(132000, "Number of parameters does not match the expected number of params")
    for one in parameters:
        parameter = exactly(one, {"type", "text"})
        if parameter["type"] != "text":
            raise Refused(132012, "expected a text")
        text = text_of(parameter["text"], 1024, code=131008)
        if re.search(r"[\n\t]| {4,}", text):
            raise Refused(132012, "Param text cannot have new-line/tab characters or more than 4 consecutive spaces")


@dataclass
class FakeWhatsApp:
    """``faults``: what to answer, by number: Meta's code, or an HTTP status with a body that is no JSON; 0: the
    message is taken and the answer lost."""

    url: str = ""
    taken: list[dict[str, Any]] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)
    faults: dict[str, dict[str, Any] | int] = field(default_factory=dict)

    def answer(self, path: str, headers: Mapping[str, str], raw: bytes) -> tuple[int, bytes]:
        try:
            if path != f"/{VERSION}/{PHONE_NUMBER_ID}/messages":
                raise Refused(100, f"Unsupported post request: {path}")
            if headers["authorization"] != f"Bearer {ACCESS_TOKEN}":
                raise Refused(190, "Invalid OAuth access token")
            if headers["content-type"] != "application/json":
                raise Refused(100, "not JSON")
            message = check_message(json.loads(raw))
        except Refused as refused:
            self.refused.append(refused)
            return self.error(refused.code, details=refused.details)
        fault = self.faults.get(message["to"])
        if fault == 0:
            self.taken.append(message)
            return 0, b""
        if isinstance(fault, int):
            return fault, b"<html>Sorry, something went wrong.</html>"
        if fault is not None:
            return self.error(**fault)
        self.taken.append(message)
        accepted: dict[str, Any] = {"id": self.wamid(len(self.taken))}
        if message["type"] == "template":
            accepted["message_status"] = "accepted"
        contacts = [{"input": message["to"], "wa_id": message["to"].lstrip("+")}]
        return 200, json.dumps({"messaging_product": "whatsapp", "contacts": contacts, "messages": [accepted]}).encode()

    @staticmethod
    def error(code: int, *, details: str = "", transient: bool = False) -> tuple[int, bytes]:
        error: dict[str, Any] = {
            "message": f"(#{code}) {details}",
            "type": "OAuthException",
            "code": code,
            "error_data": {"messaging_product": "whatsapp", "details": details},
            "fbtrace_id": "AbCdEf0123456789",
        }
        if transient:
            error["is_transient"] = True
        return STATUS_OF.get(code, 400), json.dumps({"error": error}).encode()

    @staticmethod
    def wamid(number: int) -> str:
        return f"wamid.HBgLMTY1MDU1NTEyMzQVAgARGBI5QTNDQTVCM0Q0Q0Q2RTY3RTc{number:04}A="

    def status(
        self, number: int, status: str, *, at: int, errors: list[dict[str, Any]] | None = None
    ) -> dict[str, Any]:
        """Of the message that was taken as the ``number``-th."""
        message = self.taken[number - 1]
        found: dict[str, Any] = {
            "id": self.wamid(number),
            "status": status,
            "timestamp": str(at),
            "recipient_id": message["to"].lstrip("+"),
        }
        if status in {"sent", "delivered"}:
            found["pricing"] = {"billable": True, "pricing_model": "PMP", "type": "regular", "category": "utility"}
        if errors is not None:
            found["errors"] = errors
        if "biz_opaque_callback_data" in message:
            found["biz_opaque_callback_data"] = message["biz_opaque_callback_data"]
        return found


def value(*, number_id: str = PHONE_NUMBER_ID, **members: Any) -> dict[str, Any]:
    metadata = {"display_phone_number": DISPLAY_NUMBER, "phone_number_id": number_id}
    return {"messaging_product": "whatsapp", "metadata": metadata, **members}


def notification(*entries: list[dict[str, Any]], change: str = "messages") -> dict[str, Any]:
    """Each entry with its changes, as Meta puts several of them into one callback."""
    return {
        "object": "whatsapp_business_account",
        "entry": [
            {"id": f"10229012933939{place}", "changes": [{"value": one, "field": change} for one in values]}
            for place, values in enumerate(entries)
        ],
    }


def signed(content: object, *, secret: str = APP_SECRET) -> Callback:
    # Meta writes what is not ASCII as \u escapes, and signs it so.
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    signature = "sha256=" + hmac.digest(secret.encode(), body, "sha256").hex()
    headers = {"content-type": "application/json", "x-hub-signature-256": signature}
    return Callback(method="POST", url=CALLBACK_URL, query={}, headers=headers, body=body)


@contextmanager
def fake_whatsapp() -> Iterator[FakeWhatsApp]:
    fake = FakeWhatsApp()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            raw = self.rfile.read(int(self.headers["Content-Length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            status, body = fake.answer(self.path, headers, raw)
            if status == 0:
                self.close_connection = True
                return
            self.send_response(status)
            self.send_header("Content-Type", "application/json; charset=UTF-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            return None

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    fake.url = f"http://127.0.0.1:{server.server_port}/{VERSION}"
    try:
        yield fake
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
