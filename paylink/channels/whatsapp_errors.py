"""What WhatsApp's error codes mean for a message. Meta promises its codes and not its words, so the words are ours."""

from typing import Any, Final

from paylink.channels.base import ChannelError, DeliveryStatus, FinalRefusal, TemporaryFault
from paylink.channels.http import Answer

_LOGIN: Final = "WhatsApp does not accept the account's access token; put a new one into its settings"
_RIGHTS: Final = "The account's access token lacks the right to send WhatsApp messages; correct it at Meta"
_BUSY: Final = "WhatsApp takes no more messages just now"
_FAULT: Final = "WhatsApp had a fault of its own"

# Worth trying again: load, faults on their side, and what an operator puts right while messages wait.
TEMPORARY: Final = {
    0: _LOGIN,
    190: _LOGIN,
    3: _RIGHTS,
    10: _RIGHTS,
    131005: _RIGHTS,
    1: _FAULT,
    2: _FAULT,
    131000: _FAULT,
    131016: _FAULT,
    133004: _FAULT,
    4: _BUSY,
    80007: _BUSY,
    130429: _BUSY,
    131056: "Too many messages went to this number in a short time",
    131057: "The WhatsApp account is under maintenance",
}
FINAL: Final = {
    33: "The WhatsApp number of this account does not exist any more",
    100: "WhatsApp did not understand the message; check the account's template",
    368: "Meta has restricted this WhatsApp account",
    130472: "WhatsApp held this message back for an experiment of its own",
    130497: "WhatsApp does not allow this account to write to that country",
    131008: "A place of the WhatsApp template was left empty",
    131009: "WhatsApp did not accept a value in the message; check the account's template",
    131021: "A WhatsApp number cannot write to itself",
    131026: "The number has no WhatsApp, or cannot receive this message",
    131030: "The number is not among those this test account may write to",
    131031: "Meta has locked this WhatsApp account",
    131037: "The WhatsApp number has no approved display name",
    131042: "WhatsApp sends nothing until the account's payment method is put right",
    131045: "The WhatsApp number is not registered",
    131047: "More than 24 hours have passed since the customer last wrote: only a template can be sent",
    131048: "WhatsApp has limited this number because people reported its messages",
    131049: "WhatsApp did not deliver this, to spare the person more such messages",
    131050: "The person does not want such messages on WhatsApp any more",
    131051: "WhatsApp does not know this kind of message",
    131053: "WhatsApp could not take the message's attachment",
    132000: "The WhatsApp template has another number of places than the account's settings say",
    132001: "There is no such WhatsApp template in this language, or it is not approved",
    132005: "The text is too long for the WhatsApp template",
    132007: "The WhatsApp template breaks Meta's policy",
    132012: "A place of the WhatsApp template has another form than was sent",
    132015: "Meta has paused this WhatsApp template because of poor feedback",
    132016: "Meta has disabled this WhatsApp template",
    133010: "The WhatsApp number is not registered",
}
OPTED_OUT: Final = 131050
# Answers that say nothing about the message.
PASSING: Final = frozenset({408, 425, 429})


def of_answer(answer: Answer, *, pause_s: float | None = None) -> ChannelError:
    """Of a request that was answered with a fault. ``pause_s``: before it is tried again, if it is."""
    error = answer.content.get("error")
    error = error if isinstance(error, dict) else {}
    code = _code(error)
    text = None if code is None else str(code)
    refused = 400 <= answer.status < 500 and answer.status not in PASSING
    if code in TEMPORARY:
        return TemporaryFault(TEMPORARY[code], code=text, retry_after_s=pause_s)
    if code is not None and 200 <= code <= 299:
        return TemporaryFault(_RIGHTS, code=text)
    if code in FINAL:
        return FinalRefusal(FINAL[code], code=text, status=_status(code))
    if not refused or error.get("is_transient") is True:
        return TemporaryFault(_FAULT, code=text, retry_after_s=pause_s)
    return FinalRefusal(_words(code), code=text)


def of_report(error: dict[str, Any]) -> tuple[DeliveryStatus, str, str | None]:
    """Of a message that was taken and then not delivered: what became of it, why, and Meta's code."""
    code = _code(error)
    return _status(code), _words(code), None if code is None else str(code)


def _words(code: int | None) -> str:
    if code is None:
        return "WhatsApp refused the message"
    known = FINAL.get(code) or TEMPORARY.get(code)
    if known is None and 132000 <= code <= 132999:
        return "WhatsApp refused the account's template"
    return known or "WhatsApp refused the message"


def _status(code: int | None) -> DeliveryStatus:
    return DeliveryStatus.OPTED_OUT if code == OPTED_OUT else DeliveryStatus.FAILED


def _code(error: dict[str, Any]) -> int | None:
    found = error.get("code")
    return found if isinstance(found, int) and not isinstance(found, bool) and 0 <= found < 10**7 else None
