"""A merchant with a link to send, a carrier that does as it is told, and the jobs, run by hand."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, ClassVar

import sqlalchemy as sa
from sqlalchemy.orm import Session

from paylink.accounts.models import Merchant
from paylink.accounts.scope import Principal, PrincipalKind
from paylink.channels.base import Callback, Capabilities, Message, Parsed
from paylink.channels.switchboard import Switchboard
from paylink.consent.models import Suppression
from paylink.customers.service import Contact
from paylink.db import Database
from paylink.delivery import service
from paylink.delivery.jobs import Sender
from paylink.delivery.models import Delivery
from paylink.delivery.service import Next, Wanted
from paylink.events import log
from paylink.jobs import JobQueue, TryAgain
from paylink.kit.clock import utcnow
from paylink.kit.crypto import Keyring
from paylink.kit.ids import new_id
from paylink.links import service as links
from paylink.links.models import LinkStatus, PaymentLink
from paylink.links.service import NewLink

PHONE = "+447700900123"
EMAIL = "ann@example.com"
CHECKOUT = "https://pay.example"


class Carrier:
    """Raises or returns what ``script`` says next; then takes everything."""

    name = "fake"
    capabilities: Capabilities = Capabilities(delivered=True, replies=True)

    def __init__(self) -> None:
        self.script: list[BaseException] = []
        self.messages: list[Message] = []

    async def send(self, message: Message) -> str:
        self.messages.append(message)
        if self.script:
            raise self.script.pop(0)
        return f"fake-{message.id}"

    def parse_callback(self, callback: Callback) -> Parsed:
        raise NotImplementedError

    async def close(self) -> None:
        return None


@dataclass
class Desk:
    db: Database
    jobs: JobQueue
    carrier: Carrier = field(default_factory=Carrier)
    keyring: ClassVar = Keyring(["k" * 32])
    agent: Principal = field(init=False)

    def __post_init__(self) -> None:
        merchant_id = new_id("mer")
        self.agent = Principal(PrincipalKind.AGENT, "agt_x", "Sam Miller", merchant_id, "ses_x")
        self.db.transact_sync(lambda session: session.add(Merchant(id=merchant_id, name="Acme Heating")))

    @property
    def sender(self) -> Sender:
        switchboard = Switchboard(self.db, self.keyring, sandbox=self.carrier)
        return Sender(self.db, self.jobs, self.keyring, switchboard, checkout_url=CHECKOUT)

    def send(
        self, *wanted: Wanted, life: timedelta = timedelta(days=1), locale: str | None = None, person: str | None = None
    ) -> list[service.Added]:
        """A new link, and its deliveries."""

        def work(session: Session) -> list[service.Added]:
            new = NewLink(
                amount=4999,
                currency="GBP",
                expires_at=utcnow() + life,
                reference="INV-1042",
                contact=Contact(name="Ann", locale=person),
                locale=locale,
            )
            made = links.create(session, self.agent, new)
            place = {"link_id": made.row["id"], "merchant_id": self.agent.merchant_id}
            added, events = service.add(
                session, self.jobs, self.keyring, **place, wanted=wanted, origin=self.agent.origin, later=True
            )
            log.begin(session, **place, events=[made.event, *events])
            return added

        return self.db.transact_sync(work)

    def text(self, *fallback: Next, after_s: int | None = None, **options: Any) -> str:
        """The id of one text to the customer's phone."""
        (added,) = self.send(Wanted("sms", PHONE, fallback=fallback, fallback_after_s=after_s), **options)
        return str(added.row["id"])

    async def run(self, delivery_id: str) -> TryAgain | None:
        try:
            await self.sender.send(delivery_id)
        except TryAgain as again:
            return again
        return None

    def get(self, delivery_id: str) -> Delivery:
        return self.db.read_sync(lambda session: session.get_one(Delivery, delivery_id))

    def doors(self, delivery_id: str) -> list[Delivery]:
        """All of its link, oldest first."""
        link_id = self.get(delivery_id).link_id
        query = sa.select(Delivery).where(Delivery.link_id == link_id).order_by(Delivery.id)
        return self.db.read_sync(lambda session: list(session.scalars(query)))

    def told(self, delivery_id: str) -> list[Any]:
        """The events of its link after the first, ``link.created``."""
        place = {"merchant_id": self.agent.merchant_id, "link_id": self.get(delivery_id).link_id}
        return self.db.read_sync(lambda session: list(log.timeline(session, **place, after_seq=1)))

    def types(self, delivery_id: str) -> list[str]:
        return [event.type for event in self.told(delivery_id)]

    def end(self, delivery_id: str, status: LinkStatus) -> None:
        self.change_link(delivery_id, status=status.value)

    def change_link(self, delivery_id: str, **values: Any) -> None:
        link_id = self.get(delivery_id).link_id
        self.db.transact_sync(
            lambda session: session.execute(sa.update(PaymentLink).where(PaymentLink.id == link_id).values(values))
        )

    def change(self, delivery_id: str, **values: Any) -> None:
        self.db.transact_sync(
            lambda session: session.execute(sa.update(Delivery).where(Delivery.id == delivery_id).values(values))
        )

    def suppressed(self) -> list[Suppression]:
        query = sa.select(Suppression).where(Suppression.merchant_id == self.agent.merchant_id)
        return self.db.read_sync(lambda session: list(session.scalars(query)))

    def queue(self, delivery_id: str) -> dict[str, float | None]:
        """The jobs that were written for it, by key: in how many seconds they begin."""
        table = "workflow_status" if self.db.sqlite else "dbos.workflow_status"
        columns = "workflow_uuid, created_at, delay_until_epoch_ms"
        query = sa.text(f"SELECT {columns} FROM {table} WHERE workflow_uuid LIKE :key")
        rows = self.db.read_sync(lambda session: session.execute(query, {"key": f"%:{delivery_id}%"}).all())
        return {key: None if until is None else (until - made) / 1000 for key, made, until in rows}


@contextmanager
def desk_on(db: Database) -> Iterator[Desk]:
    jobs = JobQueue(db)
    yield Desk(db, jobs)
    jobs.close()
