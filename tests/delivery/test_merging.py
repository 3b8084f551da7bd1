"""Receipts come late, twice and in any order: the delivery ends in the same state, and each step is told once."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.orm import Session

from paylink.accounts.models import Merchant
from paylink.channels.base import DeliveryStatus
from paylink.consent.models import Suppression, SuppressionReason
from paylink.db import Database
from paylink.delivery import service
from paylink.delivery.models import Delivery
from paylink.delivery.states import ENDED_BADLY, RANK, outranked_by, steps_between
from paylink.events import log
from paylink.kit.clock import utcnow
from paylink.kit.ids import new_id
from paylink.links.models import PaymentLink
from paylink.messages import render

NEWS = [status for status in DeliveryStatus if status is not DeliveryStatus.QUEUED]
START = datetime(2026, 11, 21, 12, tzinfo=UTC)
ONCE = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def plant(session: Session) -> str:
    link_id, delivery_id = new_id("plink"), new_id("dlv")
    if session.get(Merchant, "mer_x") is None:
        session.add(Merchant(id="mer_x", name="Shop"))
        session.flush()
    session.add(
        PaymentLink(
            id=link_id,
            merchant_id="mer_x",
            amount=1,
            currency="GBP",
            link_metadata={},
            created_by_type="agent",
            created_by_id="agt_x",
            created_by_name="Ann",
            expires_at=utcnow() + timedelta(days=1),
        )
    )
    session.flush()
    row: dict[str, Any] = {"id": delivery_id, "link_id": link_id, "merchant_id": "mer_x", "channel": "sms"}
    session.add(Delivery(**row, address="+447700900123", token_hash=delivery_id.encode(), token_sealed=b"sealed"))
    return delivery_id


def reported(status: DeliveryStatus) -> dict[str, str]:
    """What a carrier says with a bad end."""
    return {"reason": f"because {status}", "code": f"code {status}"} if status in ENDED_BADLY else {}


def tell(db: Database, news: list[DeliveryStatus]) -> tuple[Delivery, list[Any]]:
    """A new delivery that hears ``news`` in this order, and the events it told."""
    delivery_id = db.transact_sync(plant)
    for number, status in enumerate(news):
        when = START + timedelta(seconds=number)
        db.transact_sync(
            lambda session, status=status, when=when: service.record(
                session, delivery_id, status, occurred_at=when, **reported(status)
            )
        )

    def look(session: Session) -> tuple[Delivery, list[Any]]:
        found = session.get_one(Delivery, delivery_id)
        return found, list(log.timeline(session, merchant_id="mer_x", link_id=found.link_id, after_seq=0))

    return db.read_sync(look)


@pytest.fixture
def sqlite_db(sqlite_database: str) -> Iterator[Database]:
    database = Database(sqlite_database)
    yield database
    database.close()


@ONCE
@given(news=st.lists(st.sampled_from(NEWS), min_size=1, max_size=8))
def test_any_order_of_receipts_ends_in_the_highest_of_them(sqlite_db: Database, news: list[DeliveryStatus]) -> None:
    delivery, events = tell(sqlite_db, news)
    assert delivery.status == max(news, key=RANK.__getitem__)
    assert delivery.token_sealed is None
    told = [event.type.removeprefix("delivery.") for event in events]
    assert len(told) == len(set(told))
    assert [RANK[DeliveryStatus(name)] for name in told] == sorted(RANK[DeliveryStatus(name)] for name in told)
    assert told[-1] == delivery.status
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    if delivery.status in {DeliveryStatus.DELIVERED, DeliveryStatus.READ}:
        assert delivery.delivered_at is not None
        assert "delivered" in told
    the_reason_is_that_of_its_state(delivery, events, news)


def the_reason_is_that_of_its_state(delivery: Delivery, events: list[Any], news: list[DeliveryStatus]) -> None:
    """Of several bad ends the first is told; none is kept once it has arrived."""
    bad = [event for event in events if event.type.removeprefix("delivery.") in ENDED_BADLY]
    assert len(bad) <= 1
    assert all(event.data["reason"] == f"because {event.type.removeprefix('delivery.')}" for event in bad)
    assert [event.type for event in events if "reason" in event.data] == [event.type for event in bad]
    if delivery.status in ENDED_BADLY:
        first = next(status for status in news if status in ENDED_BADLY)
        assert (delivery.status, delivery.failure_reason) == (first, f"because {first}")
        assert delivery.failure_code == f"code {first}"
    else:
        assert (delivery.failure_reason, delivery.failure_code) == (None, None)


@settings(ONCE, max_examples=30)
@given(news=st.lists(st.sampled_from(NEWS), min_size=1, max_size=6))
def test_what_is_said_of_the_person_counts_in_any_order(sqlite_db: Database, news: list[DeliveryStatus]) -> None:
    """An opt-out always, whatever became of this message; a bounce unless it has arrived after all."""

    def clear(session: Session) -> None:
        session.execute(sa.delete(Suppression))

    sqlite_db.transact_sync(clear)
    tell(sqlite_db, news)
    found = sqlite_db.read_sync(lambda session: set(session.scalars(sa.select(Suppression.reason))))
    arrived = next((at for at, status in enumerate(news) if RANK[status] >= RANK[DeliveryStatus.DELIVERED]), len(news))
    bounced = DeliveryStatus.BOUNCED in news[:arrived]
    opted_out = DeliveryStatus.OPTED_OUT in news
    # One row for an address: that it does not exist outlasts what the person said.
    expected = SuppressionReason.BOUNCE if bounced else SuppressionReason.PROVIDER if opted_out else None
    assert found == ({expected} if expected else set())


@ONCE
@given(news=st.lists(st.sampled_from(NEWS), min_size=1, max_size=6), data=st.data())
def test_repeats_change_nothing(sqlite_db: Database, news: list[DeliveryStatus], data: st.DataObject) -> None:
    """Each receipt again, at any later time, as carriers do that had no answer."""
    repeated = list(news)
    for place, status in enumerate(news):
        repeated.insert(data.draw(st.integers(min(place * 2 + 1, len(repeated)), len(repeated))), status)
    once, told = tell(sqlite_db, news)
    twice, told_twice = tell(sqlite_db, list(dict.fromkeys(repeated)) + repeated)
    assert once.status == twice.status
    if list(dict.fromkeys(repeated)) == list(dict.fromkeys(news)):
        assert [event.type for event in told] == [event.type for event in told_twice]


def test_what_was_skipped_is_told_on_the_way(db: Database) -> None:
    delivery, events = tell(db, [DeliveryStatus.READ, DeliveryStatus.SENT, DeliveryStatus.DELIVERED])
    assert [event.type for event in events] == ["delivery.sent", "delivery.delivered", "delivery.read"]
    assert {event.occurred_at for event in events} == {START}
    assert (delivery.sent_at, delivery.delivered_at, delivery.read_at) == (START, START, START)


def test_a_proof_of_arrival_outranks_a_failure_and_clears_its_reason(db: Database) -> None:
    delivery_id = db.transact_sync(plant)
    for status, reason in ((DeliveryStatus.FAILED, "unreachable"), (DeliveryStatus.DELIVERED, None)):
        db.transact_sync(lambda s, status=status, reason=reason: service.record(s, delivery_id, status, reason=reason))
    found = db.read_sync(lambda session: session.get_one(Delivery, delivery_id))
    assert (found.status, found.failure_reason) == ("delivered", None)


def test_news_of_nothing_changes_nothing(db: Database) -> None:
    assert db.transact_sync(lambda session: service.record(session, "dlv_x", DeliveryStatus.SENT)) is False


def test_events_show_masked_addresses_only(db: Database) -> None:
    _, events = tell(db, [DeliveryStatus.SENT])
    assert events[0].data["to"] == "+44•••••0123"
    assert service.mask("ann@example.com") == "a•••@example.com"
    assert service.mask("@ann") == "•••"
    assert service.mask("@ann.smith") == "@an•••••mith"
    assert service.mask("short") == "•••"
    assert service.mask(None) is None


@pytest.mark.parametrize("status", NEWS)
def test_no_state_outranks_itself(status: DeliveryStatus) -> None:
    assert status not in outranked_by(status)
    assert steps_between(status, status) in {(), (status,)}


def test_the_templates_are_packaged() -> None:
    folder = Path(render.__file__).parent / "templates"
    assert {path.name for path in folder.iterdir()} >= {"sms.txt", "chat.txt", "email.txt", "email.mjml"}
