"""What mail servers mean: status codes of RFC 3463 and RFC 5321, in our states and in words for the agent."""

import re
from typing import Final

from paylink.channels.base import DeliveryStatus

_STATUS: Final = re.compile(r"(?<![\d.])([245]\.\d{1,3}\.\d{1,3})(?![\d.])")
_REPLY: Final = re.compile(r"^\s*\d{3}[ -]")
_LONGEST_WORD: Final = 30
_LONGEST_TEXT: Final = 120
# Replies to RCPT TO that speak of the mailbox, where a server gives no status: RFC 5321, 4.2.3.
_OF_MAILBOX: Final = frozenset({550, 551, 552, 553})
_TIME_OVER: Final = "4.7"
# Addressing, mailbox, routing, and what says no more. The rest is refused as such: system, protocol, content, policy.
_OF_ADDRESS: Final = frozenset({"0", "1", "2", "4"})
_WORDS: Final = {
    "0": "The mail could not be delivered",
    "1": "There is no such address",
    "1.2": "The domain of the address does not exist",
    "1.10": "The domain of the address takes no e-mail",
    "2": "The mailbox takes no e-mail",
    "2.1": "The mailbox is switched off",
    "2.2": "The mailbox is full",
    "3": "The recipient's mail server cannot take it",
    "4": "The recipient's mail server could not be reached",
    "4.7": "The recipient's mail server did not take it in time",
    "5": "The mail server did not understand the message",
    "6": "The mail server does not take messages of this form",
    "7": "The mail server refuses the message by its rules",
}


def find_status(text: str) -> str | None:
    """``5.1.1`` out of what a server said."""
    found = _STATUS.search(text[:1000])
    return found[1] if found else None


def state_of(status: str) -> DeliveryStatus:
    """What a message has come to that failed for good with this status, such as ``5.1.1``."""
    _, subject, _ = status.split(".")
    if status.endswith(f".{_TIME_OVER}"):
        return DeliveryStatus.EXPIRED
    return DeliveryStatus.BOUNCED if subject in _OF_ADDRESS else DeliveryStatus.FAILED


def state_of_reply(code: int) -> DeliveryStatus:
    """The same for a reply to a recipient that has no status."""
    return DeliveryStatus.BOUNCED if code in _OF_MAILBOX else DeliveryStatus.FAILED


def in_words(status: str | None, said: str = "", *, otherwise: str = _WORDS["0"]) -> str:
    """A sentence of ours, and behind it what the server said, as far as it can be repeated."""
    _, _, detail = (status or "").partition(".")
    ours = _WORDS.get(detail) or _WORDS.get(detail.partition(".")[0], otherwise)
    theirs = _repeatable(said)
    return f"{ours}: {theirs}" if theirs else ours


def _repeatable(said: str) -> str:
    """Servers quote addresses, and a filter may quote the link it does not like: words with either are left out, and
    so are long numbers."""
    plain = "".join(char if char.isprintable() else " " for char in _STATUS.sub("", _REPLY.sub("", said[:1000])))
    kept = [word for word in plain.split() if len(word) <= _LONGEST_WORD and not re.search(r"[@/<>]|\d{7}", word)]
    return " ".join(kept)[:_LONGEST_TEXT].strip(" -:;,.")
