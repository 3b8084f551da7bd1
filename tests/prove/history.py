"""Who asked what when and was answered how, held against the one serial order that the event log claims.

The log of a link is written under a lock, so its order is a serial order of everything that changed the link. A history
is explained by it when every answer is one that somebody could get who asked, alone, at some moment between their
question and their answer: a success has its event within that time, a refusal a state that refuses, a reading a state
that reads so. What was answered before something else was asked must be seen by it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from tests.prove.books import ENDS, OVER, PAID, Books, Row
from tests.prove.customers import Answer

# A fact is dated before it is committed: it may come into sight so much later, where no answer says more exactly when.
SIGHT_S: Final = 5.0
# Dates have milliseconds or microseconds, by where they are read.
GRAIN_S: Final = 0.002


@dataclass(frozen=True, slots=True)
class Op:
    """One question and its answer. ``about``: the payment, the amount or the device it named."""

    kind: str
    about: Any
    asked: float
    answered: float
    answer: Answer

    def __str__(self) -> str:
        return f"{self.kind} {self.about or ''} → {self.answer.status} {self.answer.code}"


@dataclass(frozen=True, slots=True)
class State:
    """What the log says after one more event. ``since``: seen by nobody before; ``until``: by nobody who asks later."""

    since: float
    until: float
    link: str = "active"
    live: str | None = None
    held: str | None = None
    begun: int = 0
    given_up: int = 0
    locked: bool = False
    paid: int = 0
    refunded: int = 0


def replay(events: Sequence[Row], ops: Sequence[Op]) -> list[State]:
    seen = _seen(events, ops)
    states = [State(0, float("inf"))]
    for event, latest in zip(events, seen, strict=True):
        states[-1] = replace(states[-1], until=latest)
        states.append(_after(states[-1], event))
    return states


def _after(state: State, event: Row) -> State:
    at, payment = event.occurred_at.timestamp() - GRAIN_S, str(event.data.get("payment"))
    new = replace(state, since=at, until=float("inf"))
    if event.type in ENDS:
        return replace(new, link=event.type.removeprefix("link."))
    if event.type == "payment.submitted":
        return replace(new, live=payment, begun=new.begun + 1)
    if event.type in OVER:
        captured = int(event.data.get("amount_captured", 0)) if event.type in PAID else 0
        gone = new.given_up + (event.type not in PAID)
        return replace(new, live=None, held=None, paid=new.paid + captured, given_up=gone)
    match event.type:
        case "review.opened":
            return replace(new, held=payment)
        case "review.closed":
            return replace(new, held=None)
        case "refund.succeeded":
            return replace(new, refunded=new.refunded + int(event.data["amount"]))
        case "link.locked" | "link.unlocked":
            return replace(new, locked=event.type == "link.locked")
    return new


def _seen(events: Sequence[Row], ops: Sequence[Op]) -> list[float]:
    """Per event: when at the latest everybody sees it. An answer that tells of one tells of all before it."""
    latest = [event.occurred_at.timestamp() + SIGHT_S for event in events]
    known = [(op, place) for op in ops if op.answer.ok for place in [_place(op, events)] if place is not None]
    for op, place in known:
        for number in range(place + 1):
            latest[number] = min(latest[number], op.answered)
    return latest


def _place(op: Op, events: Sequence[Row]) -> int | None:
    wanted: Callable[[Row], bool] | None = {
        "begin": lambda one: one.type == "payment.submitted" and one.data["payment"] == op.answer.body["payment_id"],
        "cancel": lambda one: one.type == "link.canceled",
        "approve": lambda one: one.type == "review.closed",
        "decline": lambda one: one.type == "review.closed",
    }.get(op.kind)
    return None if wanted is None else next((n for n, one in enumerate(events) if wanted(one)), None)


def unexplained(link_id: str, books: Books, ops: Sequence[Op], *, ended_at: float | None) -> list[str]:
    """``ended_at``: when the link's time was over, if it was. Each sentence is an answer that no order could give."""
    events = books.events.get(link_id, [])
    states = replay(events, ops)
    refunds = [one for attempt in books.attempts.get(link_id, []) for one in books.refunds.get(attempt.id, [])]
    judge = _Judge(events, states, refunds, ended_at)
    found = [f"{link_id}: no order gives {op}" for op in ops if not judge.explains(op)]
    for kind in ("cancel", "approve", "decline"):
        if sum(op.kind == kind and op.answer.ok for op in ops) > 1:
            found.append(f"{link_id}: {kind} succeeded twice")
    return found


@dataclass
class _Judge:
    events: Sequence[Row]
    states: Sequence[State]
    refunds: Sequence[Row]
    ended_at: float | None

    def explains(self, op: Op) -> bool:
        if op.answer.status == 503:
            return True  # counted elsewhere; it says nothing of the link
        rule = getattr(self, f"_{op.kind}", None)
        return op.answer.ok if rule is None else bool(rule(op))

    def some(self, op: Op, check: Callable[[State], bool]) -> bool:
        return any(check(one) for one in self.states if one.since <= op.answered and op.asked <= one.until)

    def told(self, op: Op, kind: str, **facts: Any) -> bool:
        return any(
            one.type == kind
            and op.asked - GRAIN_S <= one.occurred_at.timestamp() <= op.answered + GRAIN_S
            and all(one.data.get(name) == value for name, value in facts.items())
            for one in self.events
        )

    def over(self, op: Op) -> bool:
        late = self.ended_at is not None and self.ended_at <= op.answered
        return late or self.some(op, lambda state: state.link != "active")

    def _begin(self, op: Op) -> bool:
        if op.answer.ok:
            payment = op.answer.body["payment_id"]
            return self.some(op, lambda state: state.live == payment and state.link == "active")
        match op.answer.code:
            case "payment_in_progress":
                return self.some(op, lambda state: state.live is not None)
            case "link_not_active":
                # Also: the attempt was given up while the provider made it.
                return self.over(op) or self.some(op, lambda state: state.given_up > 0)
            case "too_many_attempts" | "link_locked" | "too_many_cards":
                return self.some(op, lambda state: state.locked or state.begun >= 10)
        return False

    def _cancel(self, op: Op) -> bool:
        if op.answer.ok:
            return self.told(op, "link.canceled")
        busy = self.some(op, lambda state: state.link != "active" or state.live is not None)
        return op.answer.code == "link_not_active" and busy

    def _approve(self, op: Op) -> bool:
        if op.answer.ok:
            return self.told(op, "review.closed", payment=op.about, decision="approved")
        if op.answer.code == "link_not_active":
            return self.over(op)
        return op.answer.code == "payment_not_in_review" and self.some(op, lambda state: state.held != op.about)

    def _decline(self, op: Op) -> bool:
        if op.answer.ok:
            return self.told(op, "review.closed", payment=op.about, decision="declined")
        return op.answer.code == "payment_not_in_review" and self.some(op, lambda state: state.held != op.about)

    def _refund(self, op: Op) -> bool:
        given = [one for one in self.refunds if one.created_at.timestamp() <= op.answered + GRAIN_S]
        if op.answer.ok:
            return any(one.id == op.answer.body["id"] and one.amount == op.answer.body["amount"] for one in given)
        left: int = max(state.paid for state in self.states) - sum(
            one.amount for one in given if one.status != "failed"
        )
        match op.answer.code:
            case "payment_not_refundable":
                return self.some(op, lambda state: state.paid == 0)
            case "already_refunded":
                return left <= 0
            case "validation_failed":
                return bool(op.about is not None and op.about > left)
        return False

    def _read(self, op: Op) -> bool:
        seen = op.answer.body
        wanted = (seen["status"], seen["amount_paid"], seen["amount_refunded"])
        return self.some(op, lambda state: (state.link, state.paid, state.refunded) == wanted)

    def _status(self, op: Op) -> bool:
        shown = op.answer.body.get("state") if op.answer.ok else None
        if shown in {"paid", "canceled", "expired"}:
            return self.over(op) if shown == "expired" else self.some(op, lambda state: state.link == shown)
        return op.answer.ok

    _refresh = _status

    def _unlock(self, op: Op) -> bool:
        return op.answer.ok or op.answer.status in {404, 405} or op.answer.code == "link_not_locked"

    def _deliver(self, op: Op) -> bool:
        return op.answer.ok or (op.answer.code == "link_not_active" and self.over(op))
