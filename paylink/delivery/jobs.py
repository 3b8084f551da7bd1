"""The jobs that hand a message to its carrier: read, send outside any transaction, record."""

import asyncio
from dataclasses import replace
from typing import Final

import structlog
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from paylink.channels.base import Channel, DeliveryStatus, FinalRefusal, Message, TemporaryFault
from paylink.channels.switchboard import Switchboard
from paylink.db import CommitFailed, Database
from paylink.delivery import fallback, outcome, sending
from paylink.delivery.sending import ToSend, Unsent
from paylink.delivery.states import ENDED_BADLY
from paylink.jobs import DATABASE_PATIENCE_S, JobQueue, TryAgain
from paylink.kit.crypto import Keyring
from paylink.messages.render import render

log = structlog.get_logger(__name__)

# Adapters have shorter time-outs of their own; the job system's is longer.
SEND_TIMEOUT_S: Final = 60.0
NO_ANSWER: Final = "The carrier did not answer in time"
FAULT: Final = "The message could not be handed over"


class Sender:
    def __init__(
        self, db: Database, jobs: JobQueue, keyring: Keyring, switchboard: Switchboard, *, checkout_url: str
    ) -> None:
        self._db = db
        self._jobs = jobs
        self._keyring = keyring
        self._switchboard = switchboard
        self._checkout_url = checkout_url

    async def send(self, delivery_id: str) -> None:
        """Run again after a crash, it sends the same message id, which the carrier takes once.

        It never gives a delivery up without saying so on it: a fault of ours is counted like one of the carrier's, and
        while the database is away nothing is counted at all.
        """
        try:
            await self._send(delivery_id)
        except (SQLAlchemyError, CommitFailed) as error:
            raise TryAgain(type(error).__name__, after_s=DATABASE_PATIENCE_S) from error

    async def fall_back(self, delivery_id: str) -> None:
        await self._db.transact(lambda session: fallback.take(session, self._jobs, self._keyring, delivery_id))

    async def _send(self, delivery_id: str) -> None:
        try:
            pending = await self._db.read(
                lambda session: sending.to_send(session, self._keyring, delivery_id, checkout_url=self._checkout_url)
            )
            if isinstance(pending, Unsent):
                await self._db.transact(lambda session: sending.refuse(session, self._jobs, delivery_id, pending))
            elif pending is not None:
                await self._hand_over(pending)
        except TemporaryFault as fault:
            await self._faulted(delivery_id, fault.reason, retry_after_s=fault.retry_after_s)
        except TimeoutError:
            await self._faulted(delivery_id, NO_ANSWER)
        except (SQLAlchemyError, CommitFailed, TryAgain):
            raise
        except Exception:
            log.exception("delivery_not_sent", delivery=delivery_id)
            await self._faulted(delivery_id, FAULT)

    async def _hand_over(self, pending: ToSend) -> None:
        carrier: Channel | None = None
        try:
            carrier = await self._switchboard.channel(pending.account_id, pending.channel)
            message = _message(pending, carrier)
            if not pending.noted:
                await self._db.transact(lambda session: sending.note(session, pending))
            async with asyncio.timeout(SEND_TIMEOUT_S):
                message_id = await carrier.send(message)
        except FinalRefusal as refusal:
            await self._refused(pending, refusal, carrier)
        else:
            await self._sent(pending, carrier, message_id, locale=message.locale)

    async def _sent(self, pending: ToSend, carrier: Channel, message_id: str, *, locale: str) -> None:
        def work(session: Session) -> None:
            outcome.record(
                session,
                pending.delivery_id,
                DeliveryStatus.SENT,
                provider=carrier.name,
                message_id=message_id,
                locale=locale,
                asked=True,
            )
            if pending.fallback_after_s is not None and carrier.capabilities.delivered:
                fallback.watch(session, self._jobs, pending.delivery_id, after_s=pending.fallback_after_s)

        await self._db.transact(work)

    async def _refused(self, pending: ToSend, refusal: FinalRefusal, carrier: Channel | None) -> None:
        """``carrier``: ``None`` when there was none to ask."""
        status = refusal.status if refusal.status in ENDED_BADLY else DeliveryStatus.FAILED

        def work(session: Session) -> None:
            outcome.record(
                session,
                pending.delivery_id,
                status,
                reason=refusal.reason,
                code=refusal.code,
                provider=carrier.name if carrier else None,
                asked=carrier is not None,
                jobs=self._jobs,
                keyring=self._keyring,
            )

        await self._db.transact(work)

    async def _faulted(self, delivery_id: str, reason: str, *, retry_after_s: float | None = None) -> None:
        again = await self._db.transact(
            lambda session: sending.faulted(
                session, self._jobs, delivery_id, reason=reason, retry_after_s=retry_after_s
            )
        )
        if again is not None:
            # Not its words, which are for the agent: the log must not hold what a carrier quotes.
            raise TryAgain("the carrier had a fault", after_s=again)


def _message(pending: ToSend, carrier: Channel) -> Message:
    facts = replace(pending.facts, replies=carrier.capabilities.replies)
    words = render(pending.channel, facts, locale=pending.locale, template=pending.template)
    return Message(
        id=pending.delivery_id,
        channel=pending.channel,
        to=pending.to,
        text=words.text,
        subject=words.subject,
        html=words.html,
        url=facts.url,
        locale=words.locale,
        merchant=facts.merchant,
        thread=pending.link_id,
        parts=words.parts,
        headers=pending.headers,
    )
