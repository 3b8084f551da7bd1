"""The channel for development and tests: the sandbox's phone and mailbox, over HTTP like any provider."""

import base64
import hmac
import json
import time
from collections.abc import Mapping
from datetime import datetime
from typing import ClassVar

import httpx

from paylink.channels.base import (
    Callback,
    CallbackRefused,
    Capabilities,
    DeliveryStatus,
    FinalRefusal,
    Message,
    Parsed,
    Report,
    TemporaryFault,
)
from paylink.kit.crypto import same

TIMEOUT_S = 5.0
# Standard Webhooks: a signature older, or from further in the future, may be a replay.
TOLERANCE_S = 300


class SandboxChannel:
    name = "sandbox"
    capabilities: ClassVar = Capabilities(delivered=True)

    def __init__(self, url: str, secret: str) -> None:
        self._secret = secret
        self._client = httpx.AsyncClient(
            base_url=url, timeout=TIMEOUT_S, headers={"Authorization": f"Bearer {secret}"}, trust_env=False
        )

    async def send(self, message: Message) -> str:
        body = {
            "id": message.id,
            "channel": message.channel,
            "to": message.to,
            "subject": message.subject,
            "text": message.text,
            "html": message.html,
        }
        try:
            answer = await self._client.post("/_messages", json=body)
            content = answer.json() if answer.content else {}
        except (httpx.HTTPError, ValueError) as error:
            raise TemporaryFault("The carrier could not be reached") from error
        if answer.status_code == httpx.codes.ACCEPTED and isinstance(content.get("message_id"), str):
            return str(content["message_id"])
        if answer.is_client_error and answer.status_code != httpx.codes.TOO_MANY_REQUESTS:
            raise FinalRefusal("The carrier refused the address")
        raise TemporaryFault("The carrier had a fault")

    def parse_callback(self, callback: Callback) -> Parsed:
        self._verify(callback.body, callback.headers)
        try:
            content = json.loads(callback.body)
            reason = content.get("reason")
            report = Report(
                id=str(content["id"]),
                reference=str(content["reference"]),
                status=DeliveryStatus(content["status"]),
                occurred_at=_moment(content["occurred_at"]),
                reason=None if reason is None else str(reason),
            )
            return Parsed(reports=[report])
        except (AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
            raise CallbackRefused("not a delivery report") from error

    async def close(self) -> None:
        await self._client.aclose()

    def _verify(self, body: bytes, headers: Mapping[str, str]) -> None:
        message_id, stamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
        if not (stamp.isascii() and stamp.isdigit()) or len(stamp) > 12 or abs(time.time() - int(stamp)) > TOLERANCE_S:
            raise CallbackRefused("no timestamp, or one too far from now")
        signed = f"{message_id}.{stamp}.".encode() + body
        wanted = base64.b64encode(hmac.digest(self._secret.encode(), signed, "sha256")).decode()
        given = headers.get("webhook-signature", "").split()
        if not any(same(f"v1,{wanted}", signature) for signature in given):
            raise CallbackRefused("the signature does not fit")


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("a time without its offset")
    return moment
