"""What Twilio's error numbers mean for one message, in words for the agent.

Its dictionary of them is at twilio.com/docs/api/errors. A number that is not here ends the message with a sentence
that says nothing but so.
"""

from typing import Final

from paylink.channels.base import ChannelError, DeliveryStatus, FinalRefusal, TemporaryFault
from paylink.channels.http import Answer

OPTED_OUT: Final = 21610
# The validity period ran out in Twilio's queue.
EXPIRED: Final = 30036
# Somebody must put the account right first. Until then nothing is lost: a key that is being changed is no reason to
# give messages up.
ACCOUNT: Final = {
    20003: "Twilio does not accept the account's credentials; please check them in the settings",
    20005: "The account with Twilio is not active",
    20404: "Twilio does not know the account; please check its SID in the settings",
    30002: "The account with Twilio is suspended",
}
# Later it may work by itself.
PASSING: Final = {
    20429: "Twilio asks us to wait",
    20500: "Twilio had a fault",
    20503: "Twilio had a fault",
    21611: "Too many messages of this sender are waiting at Twilio",
    30001: "Too many messages of this sender are waiting at Twilio",
}
FINAL: Final = {
    OPTED_OUT: "The customer has asked not to get messages from this sender",
    EXPIRED: "Twilio could not send the message in time",
    21211: "This is not a phone number that Twilio can reach",
    21212: "Twilio does not accept the sender in the settings",
    21265: "Short codes cannot get messages",
    21266: "This is the sender's own number",
    21408: "The account with Twilio may not send to this country",
    21602: "The message is empty",
    21603: "The settings name no sender",
    21604: "There is no phone number to send to",
    21606: "The sender in the settings cannot send text messages",
    21608: "A trial account with Twilio sends to verified numbers only",
    21609: "Twilio cannot reach this service's address for delivery reports",
    21612: "Twilio cannot reach this number from the sender in the settings",
    21614: "This number cannot get text messages; it may be a landline",
    21617: "The message is too long for Twilio",
    21635: "This is a landline number",
    21659: "The sender in the settings does not belong to the account with Twilio",
    21660: "The sender in the settings does not belong to the account with Twilio",
    21701: "Twilio does not know the messaging service in the settings",
    21703: "The messaging service in the settings has no sender",
    21704: "The messaging service in the settings has no sender for this number",
    21705: "Twilio does not accept the messaging service in the settings",
    30003: "The phone could not be reached: it may be off or without reception",
    30004: "The customer or the carrier blocks messages",
    30005: "This number is not in use, or not known to its carrier",
    30006: "This is a landline number, or its carrier cannot be reached",
    30007: "The carrier took the message for spam",
    30008: "The message did not arrive; the carrier does not say why",
    30009: "A part of the message was lost",
    30010: "The message would cost more than the account allows",
    30019: "The message is too long for the carrier",
    30022: "The sender has sent too much for its carrier's rules",
    30023: "The sender has sent what its carrier allows in one day",
    30024: "The carrier does not let this sender's number through",
    30032: "The sender's toll-free number is not verified",
    30033: "The sender's campaign is suspended",
    30034: "The sender's number is not registered for the United States",
    30410: "The carrier did not answer Twilio",
    30450: "Twilio blocked the message",
    30500: "Twilio had a fault",
}
_UNKNOWN: Final = "Twilio refused the message"
_NOT_DELIVERED: Final = "The message did not arrive; Twilio does not say why"


def of_answer(answer: Answer) -> ChannelError:
    """The error for an answer that is not 2xx."""
    given = answer.content.get("code")
    number = given if isinstance(given, int) else 0
    code = str(number or answer.status)
    if number in PASSING:
        return TemporaryFault(PASSING[number], code=code, retry_after_s=answer.retry_after_s)
    if number in ACCOUNT or (answer.status in {401, 403, 404} and number not in FINAL):
        fallback = ACCOUNT[20404] if answer.status == 404 else ACCOUNT[20003]
        return TemporaryFault(ACCOUNT.get(number, fallback), code=code)
    return FinalRefusal(FINAL.get(number, _UNKNOWN), code=code, status=ended_as(number))


def ended_as(number: int) -> DeliveryStatus:
    ends = {OPTED_OUT: DeliveryStatus.OPTED_OUT, EXPIRED: DeliveryStatus.EXPIRED}
    return ends.get(number, DeliveryStatus.FAILED)


def sentence(number: int) -> str:
    """Why a message that Twilio had taken did not arrive."""
    return FINAL.get(number) or ACCOUNT.get(number) or PASSING.get(number) or _NOT_DELIVERED
