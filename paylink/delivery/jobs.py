"""The job that hands a message to its carrier: read, send outside any transaction, record."""

from collections.abc import Mapping

from paylink.channels.base import Channel, DeliveryStatus, FinalRefusal, Message, TemporaryFault
from paylink.db import Database
from paylink.delivery import service
from paylink.jobs import TryAgain
from paylink.kit.crypto import Keyring
from paylink.messages.render import render


class Sender:
    def __init__(self, db: Database, keyring: Keyring, carriers: Mapping[str, Channel], *, checkout_url: str) -> None:
        self._db = db
        self._keyring = keyring
        self._carriers = carriers
        self._checkout_url = checkout_url

    async def send(self, delivery_id: str) -> None:
        """Run again after a crash, it sends the same message id, which the carrier takes once."""
        pending = await self._db.read(
            lambda session: service.to_send(session, self._keyring, delivery_id, checkout_url=self._checkout_url)
        )
        if pending is None:
            await self._db.transact(lambda session: service.close_unsent(session, delivery_id))
            return
        carrier = self._carriers.get(pending.channel)
        if carrier is None:
            await self._record(delivery_id, DeliveryStatus.FAILED, reason="This channel is not set up")
            return
        try:
            message_id = await carrier.send(_message(pending))
        except FinalRefusal as refusal:
            await self._record(delivery_id, DeliveryStatus.FAILED, reason=refusal.reason, provider=carrier.name)
        except TemporaryFault as fault:
            raise TryAgain(fault.reason) from fault
        else:
            await self._record(delivery_id, DeliveryStatus.SENT, provider=carrier.name, message_id=message_id)

    async def _record(
        self,
        delivery_id: str,
        status: DeliveryStatus,
        *,
        reason: str | None = None,
        provider: str | None = None,
        message_id: str | None = None,
    ) -> None:
        await self._db.transact(
            lambda session: service.record(
                session, delivery_id, status, reason=reason, provider=provider, message_id=message_id
            )
        )


def _message(pending: service.ToSend) -> Message:
    words = render(pending.channel, pending.facts)
    return Message(
        id=pending.delivery_id,
        channel=pending.channel,
        to=pending.to,
        text=words.text,
        subject=words.subject,
        html=words.html,
    )
