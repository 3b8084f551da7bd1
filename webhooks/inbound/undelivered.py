"""Callbacks that the provider could not deliver, fetched from it: stored and worked on like any other."""

from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.orm import Session

from paylink.context import Context
from paylink.jobs import TryAgain
from paylink.psp.base import ProviderEvent
from webhooks.inbound import inbox
from webhooks.inbound.handlers import handle
from webhooks.inbound.models import InboundEvent


@dataclass(frozen=True, slots=True)
class FetchedInbox:
    """The inbox, for events that come by the provider's list and not by its callback."""

    ctx: Context

    async def has(self, event: ProviderEvent) -> bool:
        return await self.ctx.db.read(lambda session: self._find(session, event)) is not None

    async def take(self, event: ProviderEvent) -> None:
        """Worked on at once. Where that cannot be done now, the job that was stored with it does it."""

        def store(session: Session) -> str | None:
            inbox.store_event(session, self.ctx.jobs, self.ctx.psp, event)
            return self._find(session, event)

        inbound_id = await self.ctx.db.transact(store)
        if inbound_id is not None:
            try:
                await handle(self.ctx, inbound_id)
            except TryAgain:
                return

    def _find(self, session: Session, event: ProviderEvent) -> str | None:
        return session.scalar(
            sa.select(InboundEvent.id).where(
                InboundEvent.source == inbox.source_of(self.ctx.psp), InboundEvent.external_id == event.id
            )
        )
