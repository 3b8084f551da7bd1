"""What carriers tell: kept as the few facts that the work needs, then worked on.

What a person wrote is not kept. It may be anything, a card number too; only that it was a word for STOP or START, and
whose, goes into the inbox.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import sqlalchemy as sa
import structlog
from prometheus_client import Counter
from sqlalchemy.orm import Session

from paylink.channels.base import DeliveryStatus, Parsed, Reply, Report
from paylink.channels.models import ChannelAccount
from paylink.consent import service as consent
from paylink.consent.words import wish_in
from paylink.context import Context
from paylink.delivery.models import Delivery
from paylink.delivery.outcome import record, said
from paylink.jobs import JobQueue, TryAgain
from paylink.kit.clock import utcnow
from paylink.kit.crypto import fingerprint
from webhooks.inbound import inbox
from webhooks.inbound.inbox import MAX_ID
from webhooks.inbound.models import InboundEvent

log = structlog.get_logger(__name__)

# A carrier can report before we have noted the id it gave the message; or it reports of a message that was not ours.
PATIENCE: Final = timedelta(minutes=15)
FIRST_LOOK_S: Final = 1.0
MAX_CODE: Final = 64
MAX_ADDRESS: Final = 320
unknown = Counter("paylink_reports_unknown_total", "Delivery reports of messages that are not known", ["source"])


@dataclass(frozen=True, slots=True)
class InboxEvent:
    external_id: str
    kind: str
    summary: dict[str, str]


def events_in(parsed: Parsed) -> list[InboxEvent]:
    """What to store of one callback. Ids that are too long, or hold what no database keeps, are shortened alike."""
    reports = [InboxEvent(_id(one.id), f"delivery.{one.status.value}", _report(one)) for one in parsed.reports]
    replies = [InboxEvent(_id(f"reply:{one.id}"), "reply", _reply(one)) for one in parsed.replies]
    return reports + replies


def store(session: Session, jobs: JobQueue, parsed: Parsed, *, source: str) -> list[bool]:
    """``source``: ``messaging:{provider}:{account}``. For each event whether it is new here."""
    return [
        inbox.store(session, jobs, source=source, external_id=event.external_id, kind=event.kind, summary=event.summary)
        for event in events_in(parsed)
    ]


async def take(ctx: Context, provider: str, account_id: str, parsed: Parsed) -> None:
    """``store`` for news that were asked for, of a provider that calls nobody."""
    source = f"messaging:{provider}:{account_id}"
    await ctx.db.transact(lambda session: store(session, ctx.jobs, parsed, source=source))


async def work(ctx: Context, stored: InboundEvent) -> None:
    """Raises ``TryAgain`` for a report of a message that may still become known."""
    _, _, place = stored.source.partition(":")
    provider, _, account_id = place.partition(":")
    if stored.type == "reply":
        await ctx.db.transact(lambda session: _replied(session, ctx, account_id, stored.summary))
        return
    known = await ctx.db.transact(
        lambda session: _reported(session, ctx, stored.summary, account_id=account_id or None)
    )
    if known or "delivery" in stored.summary:
        return
    age = utcnow() - stored.received_at
    if age < PATIENCE:
        raise TryAgain("the message is not known yet", after_s=max(FIRST_LOOK_S, age.total_seconds()))
    unknown.labels(f"messaging:{provider}").inc()


def _reported(session: Session, ctx: Context, summary: dict[str, str], *, account_id: str | None) -> bool:
    """False when there is no such message. An account speaks of its own messages only, whatever it says."""
    delivery_id = _delivery(session, summary, account_id=account_id)
    if delivery_id is None:
        return False
    record(
        session,
        delivery_id,
        DeliveryStatus(summary["status"]),
        occurred_at=datetime.fromisoformat(summary["occurred_at"]),
        reason=summary.get("reason"),
        code=summary.get("code"),
        jobs=ctx.jobs,
        keyring=ctx.keyring,
    )
    return True


def _delivery(session: Session, summary: dict[str, str], *, account_id: str | None) -> str | None:
    query = sa.select(Delivery.id).where(
        Delivery.account_id == account_id if account_id is not None else Delivery.account_id.is_(None)
    )
    if reference := summary.get("delivery"):
        return session.scalars(query.where(Delivery.id == reference)).one_or_none()
    message_id = summary.get("message_id")
    # A provider that used an id twice means the later message.
    found = query.where(Delivery.provider_message_id == message_id).order_by(Delivery.id.desc()).limit(1)
    return session.scalars(found).one_or_none() if message_id else None


def _replied(session: Session, ctx: Context, account_id: str, summary: dict[str, str]) -> None:
    account = session.get(ChannelAccount, account_id)
    if account is None or "wish" not in summary:
        return
    consent.replied(
        session,
        merchant_id=account.merchant_id,
        channel=account.channel,
        address=summary["from"],
        text=summary["wish"],
        keyring=ctx.keyring,
    )


def _report(report: Report) -> dict[str, str]:
    facts = {
        "delivery": _clean(report.reference)[:MAX_ID],
        "message_id": "" if report.reference else _clean(report.message_id)[:MAX_ID],
        "status": report.status.value,
        "occurred_at": report.occurred_at.isoformat(),
        # Mail servers quote what they refuse, the link in it too.
        "reason": said(report.reason, address=None) or "",
        "code": _clean(report.code or "")[:MAX_CODE],
    }
    return {name: value for name, value in facts.items() if value}


def _reply(reply: Reply) -> dict[str, str]:
    wish = wish_in(reply.text)
    facts = {"occurred_at": reply.occurred_at.isoformat()}
    return facts if wish is None else facts | {"wish": wish.value, "from": _clean(reply.sender)[:MAX_ADDRESS]}


def _id(text: str) -> str:
    return (
        text
        if 0 < len(text) <= MAX_ID and text.isprintable()
        else f"sha256:{fingerprint(text.encode(errors='surrogatepass'))}"
    )


def _clean(text: str) -> str:
    return "".join(char for char in text if char.isprintable())
