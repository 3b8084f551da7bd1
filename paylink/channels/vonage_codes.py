"""What the errors of Vonage's Messages API mean for one message, in words for the agent.

They come as problem documents (RFC 7807): the number stands behind the ``#`` of ``type``, and in callbacks alone in
``title`` too; developer.vonage.com/en/api-errors/messages has the list. General errors have a word in its place.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

from paylink.channels.base import ChannelError, DeliveryStatus, FinalRefusal, TemporaryFault
from paylink.channels.http import Answer

# The customer wrote STOP, and Vonage keeps to it.
OPTED_OUT: Final = "1240"
EXPIRED: Final = "1360"
# It has the message already: what we wanted.
ALREADY_SENT: Final = "1320"
# Somebody must put the account right first; a key that is being changed is no reason to give messages up.
ACCOUNT: Final = {
    "unauthorized": "Vonage does not accept the account's credentials; please check them in the settings",
    "forbidden": "The account with Vonage may not send messages",
    "invalid-api-key": "Vonage does not know the API key; please check it in the settings",
    "invalid-signature": "Vonage does not accept the account's credentials; please check them in the settings",
    "jwt-expired": "Vonage does not accept our signature: please check this server's clock",
    "unprovisioned": "The account with Vonage may not send messages",
    "account-suspended": "The account with Vonage is suspended",
    "low-balance": "The account with Vonage has no balance left",
    "1060": "The account with Vonage is barred",
    "1070": "The account with Vonage has no balance left",
    "1080": "The account with Vonage may not send messages",
}
PASSING: Final = {
    "throttled": "Vonage asks us to wait",
    "rate-limit": "Vonage asks us to wait",
    "internal-error": "Vonage had a fault",
    "1000": "Vonage asks us to wait",
    "1030": "Vonage had a fault",
    "1100": "Vonage had a fault",
    "1241": "Too many messages went to this number in a short time",
}
FINAL: Final = {
    "1010": "Vonage refused the form of the message",
    "1020": "Vonage refused the form of the message",
    "1040": "Vonage cannot handle this message or its number",
    "1050": "This number may not get messages",
    "1090": "The message is too long",
    "1120": "Vonage does not accept the sender in the settings for this country",
    "1130": "Vonage refused the form of the message",
    "1140": "The account with Vonage may not send such messages",
    "1160": "The account with Vonage sends to numbers on its list only",
    "1170": "This is not a phone number that Vonage can reach",
    "1180": "The phone could not be reached: it may be off or without reception",
    "1190": "This number is no longer in use",
    "1200": "The number's new carrier could not be found",
    "1210": "The carrier took the message for spam",
    "1220": "The phone was busy",
    "1230": "The carrier's network had a fault",
    OPTED_OUT: "The customer has asked not to get messages from this sender",
    "1250": "The number's network cannot be reached by Vonage",
    "1260": "The message could not be brought to this number",
    "1270": "The carrier holds the message unsuitable for the customer's age",
    "1280": "The carrier blocks messages to this number",
    "1290": "The customer's prepaid balance does not allow it",
    "1300": "This number is not in use with its carrier",
    "1310": "The phone cannot get this message",
    "1330": "The message did not arrive; the carrier does not say why",
    EXPIRED: "Vonage could not send the message in time",
    "1420": "Vonage does not accept the sender in the settings",
    "1430": "This is not a phone number that Vonage can reach",
    "1460": "The account's limit of messages for the day is reached",
    "1470": "Vonage's fraud protection stopped the message",
    "1472": "Vonage's fraud protection stopped the message",
}
_REFUSED: Final = "Vonage refused the message"
_NOT_DELIVERED: Final = "The message did not arrive; Vonage does not say why"
_NUMBER: Final = re.compile(r"[0-9]{1,5}", re.ASCII)
_WORD: Final = re.compile(r"#([a-z0-9-]{1,40})$", re.ASCII)


def code_of(problem: object) -> str:
    """``1240`` or ``low-balance``; empty when the document names nothing of the kind."""
    if not isinstance(problem, Mapping):
        return ""
    title = str(problem.get("title", ""))
    if _NUMBER.fullmatch(title):
        return title
    found = _WORD.search(str(problem.get("type", "")))
    return found[1] if found else ""


def of_answer(answer: Answer) -> ChannelError:
    """The error for an answer that is not 2xx."""
    code = code_of(answer.content)
    shown = code or str(answer.status)
    if code in PASSING:
        return TemporaryFault(PASSING[code], code=shown, retry_after_s=answer.retry_after_s)
    if code in ACCOUNT or (answer.status in {401, 402, 403, 404} and code not in FINAL):
        words: Mapping[int, Any] = {402: ACCOUNT["low-balance"], 403: ACCOUNT["forbidden"]}
        return TemporaryFault(ACCOUNT.get(code) or words.get(answer.status, ACCOUNT["unauthorized"]), code=shown)
    return FinalRefusal(FINAL.get(code, _REFUSED), code=shown, status=ended_as(code))


def ended_as(code: str) -> DeliveryStatus:
    ends = {OPTED_OUT: DeliveryStatus.OPTED_OUT, EXPIRED: DeliveryStatus.EXPIRED}
    return ends.get(code, DeliveryStatus.FAILED)


def sentence(code: str) -> str:
    """Why a message that Vonage had taken did not arrive."""
    return FINAL.get(code) or ACCOUNT.get(code) or PASSING.get(code) or _NOT_DELIVERED
