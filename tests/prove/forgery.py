"""Callbacks that nobody may believe, by what is wrong with them. Each names an event that never was."""

import json
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from stripe import WebhookSignature

from paylink.kit.ids import new_id

HOUR_S: Final = 3600


@dataclass(frozen=True, slots=True)
class Letter:
    body: bytes
    headers: dict[str, str]


Forger = Callable[[random.Random, str], Letter]


def event(dice: random.Random) -> str:
    intent = {
        "id": new_id("pi"),
        "object": "payment_intent",
        "amount": dice.randrange(1, 10_000),
        "status": "succeeded",
    }
    about = {"id": new_id("evt"), "object": "event", "created": int(time.time()), "livemode": False}
    return json.dumps({**about, "type": "payment_intent.succeeded", "data": {"object": intent}})


def signed(body: str, secret: str, *, shift_s: int = 0) -> str:
    return str(WebhookSignature.generate_signature_header(body, secret, int(time.time()) + shift_s))


def _letter(body: str | bytes, header: str | None) -> Letter:
    raw = body.encode() if isinstance(body, str) else body
    return Letter(raw, {} if header is None else {"stripe-signature": header})


def _wrong_secret(dice: random.Random, _secret: str) -> Letter:
    body = event(dice)
    return _letter(body, signed(body, f"whsec_{dice.randrange(2**64):x}"))


def _altered_body(dice: random.Random, secret: str) -> Letter:
    """One byte of it."""
    body = bytearray(event(dice).encode())
    header = signed(body.decode(), secret)
    place = dice.randrange(len(body))
    body[place] = body[place] ^ (1 << dice.randrange(7))
    return _letter(bytes(body), header)


def _old(dice: random.Random, secret: str) -> Letter:
    body = event(dice)
    return _letter(body, signed(body, secret, shift_s=-dice.choice([301 + 5, HOUR_S, 10**9])))


def _future(dice: random.Random, secret: str) -> Letter:
    body = event(dice)
    return _letter(body, signed(body, secret, shift_s=dice.choice([301 + 5, HOUR_S, 10**9])))


def _newer_time(dice: random.Random, secret: str) -> Letter:
    """A true signature of long ago under the time of now."""
    body = event(dice)
    _, _, rest = signed(body, secret, shift_s=-(10**6)).partition(",")
    return _letter(body, f"t={int(time.time())},{rest}")


def _garbage(dice: random.Random, secret: str) -> Letter:
    body, now = event(dice), int(time.time())
    true = signed(body, secret)
    headers = (
        *("", "t=,v1=", "v1=00", f"t={now}", f"t={now},v1=", f"t={now},v0={'0' * 64}", "t=nan,v1=00", "," * 500),
        *(f"t={now},v1={'0' * 64}", f"t={now},v1={'é' * 8}", "x" * 9000, "t=t,v1=v1"),
        *(true.replace("v1=", "v0="), true.upper(), true.replace("t=", "t=-"), true[:-1], true.replace(",", ";")),
        *(f"t={now},{true.partition(',')[2].replace('v1', 'v2')}", "t=1e9,v1=0", "\x7f", "=", "t==,v1=="),
    )
    return _letter(body, dice.choice(headers))


def _unsigned(dice: random.Random, _secret: str) -> Letter:
    return _letter(event(dice), None)


def _no_event(dice: random.Random, secret: str) -> Letter:
    """Signed as it should be, and no event: nothing that can be stored."""
    whole = event(dice)
    bodies = (
        *("", "null", "[]", "{}", '"text"', "0", whole[:-1], f"[{whole}]", '{"object":"event"}', "[" * 5000),
        whole.replace('"event"', '"v2.core.event"'),
        whole.replace('"id"', '"no_id"', 1),
        whole.replace('"data"', '"no_data"'),
        whole.replace('"type"', '"no_type"'),
    )
    body = dice.choice(bodies)
    return _letter(body, signed(body, secret))


KINDS: Final[dict[str, Forger]] = {
    "wrong secret": _wrong_secret,
    "altered body": _altered_body,
    "old": _old,
    "from the future": _future,
    "old under a new time": _newer_time,
    "header garbage": _garbage,
    "unsigned": _unsigned,
    "signed, no event": _no_event,
}
