"""The list of who must not be written to: what gets on it, what is asked of it, and what takes off it again."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from paylink.accounts.models import Merchant
from paylink.audit.models import AuditEntry
from paylink.consent import service
from paylink.consent.models import Suppression, SuppressionReason, SuppressionScope
from paylink.db import Database
from paylink.kit.crypto import Keyring
from paylink.kit.ids import new_id
from tests.api.world import CARD, Api, problem

KEYRING = Keyring(["k" * 32])
PHONE = "+447700900123"
ALL, REMINDERS = SuppressionScope.ALL, SuppressionScope.REMINDERS
R = SuppressionReason


class Shop:
    def __init__(self, db: Database) -> None:
        self.db = db
        self.id = new_id("mer")
        db.transact_sync(lambda session: session.add(Merchant(id=self.id, name="Shop")))

    def suppress(self, channel: str = "sms", address: str = PHONE, **changes: Any) -> Suppression:
        how: dict[str, Any] = {"scope": ALL, "reason": R.STOP, "by": "payer", "keyring": KEYRING} | changes
        return self.db.transact_sync(lambda session: service.suppress(session, self.id, channel, address, **how))

    def blocked(self, channel: str = "sms", address: str | None = PHONE, purpose: str = "link") -> str | None:
        found = self.db.read_sync(lambda session: service.blocked(session, self.id, channel, address, purpose=purpose))
        return found.reason if found else None

    def says(self, text: str, channel: str = "sms", address: str = PHONE) -> None:
        def work(session: Session) -> None:
            service.replied(session, merchant_id=self.id, channel=channel, address=address, text=text, keyring=KEYRING)

        self.db.transact_sync(work)

    def audit(self) -> list[tuple[str, str, dict[str, Any]]]:
        query = sa.select(AuditEntry).where(AuditEntry.merchant_id == self.id).order_by(AuditEntry.seq)
        rows = self.db.read_sync(lambda session: list(session.scalars(query)))
        return [(row.action, row.actor, row.details) for row in rows]


@pytest.fixture
def shop(db: Database) -> Shop:
    return Shop(db)


@pytest.fixture
def other(db: Database) -> Shop:
    return Shop(db)


def test_each_merchant_channel_and_address_is_asked_about_by_itself(shop: Shop, other: Shop) -> None:
    shop.suppress()
    assert shop.blocked() == "stop"
    assert shop.blocked(purpose="reminder") == "stop"
    assert shop.blocked("whatsapp") is None
    assert shop.blocked(address="+447700900124") is None
    assert shop.blocked(address=None) is None
    assert other.blocked() is None


def test_who_wants_no_reminders_still_gets_the_link_they_ask_for(shop: Shop) -> None:
    shop.suppress("email", "ann@example.com", scope=REMINDERS, reason=R.UNSUBSCRIBE)
    assert shop.blocked("email", "ann@example.com", "link") is None
    assert shop.blocked("email", "ann@example.com", "reminder") == "unsubscribe"
    shop.suppress("email", "ann@example.com", reason=R.BOUNCE)
    assert shop.blocked("email", "ann@example.com", "reminder") == "bounce"


@pytest.mark.parametrize(
    ("channel", "kept", "asked"),
    [
        ("email", "Ann@Example.COM", "ann@example.com"),
        ("email", "ann@example.com", " Ann@example.com "),
        ("sms", "447700900123", PHONE),
        ("sms", PHONE, "+44 7700 900123"),
        ("whatsapp", "447700900123", PHONE),
    ],
)
def test_an_address_is_the_same_however_it_is_written(shop: Shop, channel: str, kept: str, asked: str) -> None:
    shop.suppress(channel, kept)
    assert shop.blocked(channel, asked) == "stop"


def test_said_again_it_is_one_entry_and_one_line_of_the_audit(shop: Shop) -> None:
    first = shop.suppress(note="first")
    again = shop.suppress(reason=R.PROVIDER, note="second")
    assert (again.id, again.reason, again.note) == (first.id, "stop", "first")
    assert shop.audit() == [("suppression.added", "payer", {"channel": "sms", "scope": "all", "reason": "stop"})]


@pytest.mark.parametrize("reason", [R.STOP, R.PROVIDER])
def test_start_takes_back_what_the_person_and_the_carrier_said(shop: Shop, reason: SuppressionReason) -> None:
    shop.suppress(reason=reason)
    shop.suppress("whatsapp")
    shop.says("Start")
    assert shop.blocked() is None
    assert shop.blocked("whatsapp") == "stop"
    assert shop.audit()[-1] == (
        "suppression.lifted", "payer", {"channel": "sms", "scope": "all", "reason": reason.value}
    )  # fmt: skip


@pytest.mark.parametrize("reason", [R.BOUNCE, R.AGENT])
def test_start_does_not_take_back_what_is_not_its_own(shop: Shop, reason: SuppressionReason) -> None:
    shop.suppress(reason=reason)
    shop.says("START")
    assert shop.blocked() == reason.value
    # Nor when the person had written STOP before an agent was asked.
    shop.suppress("whatsapp", reason=R.STOP)
    shop.suppress("whatsapp", reason=reason)
    shop.says("START", "whatsapp")
    assert shop.blocked("whatsapp") == reason.value


def test_stop_is_heard_and_conversation_is_not(shop: Shop) -> None:
    shop.says("please stop by at four")
    assert shop.blocked() is None
    shop.says("STOP")
    shop.says("stop")
    assert shop.blocked() == "stop"
    assert len(shop.audit()) == 1


@pytest.fixture
def suppressed(http: httpx.Client) -> Iterator[dict[str, Any]]:
    body = {"channel": "sms", "address": "+44 7700 900123", "scope": "all", "note": "Asked on the phone"}
    answer = http.post("/v1/suppressions", json=body)
    assert answer.status_code == 201, answer.text
    yield answer.json()
    http.delete(f"/v1/suppressions/{answer.json()['id']}")


def test_agents_and_programs_keep_the_list(api: Api, http: httpx.Client, suppressed: dict[str, Any]) -> None:
    created_by, created_at = suppressed.pop("created_by"), suppressed.pop("created_at")
    assert created_by.startswith("api_key:key_")
    assert created_at.endswith("Z")
    assert suppressed.pop("id").startswith("sup_")
    assert suppressed == {
        "object": "suppression", "channel": "sms", "address": PHONE, "scope": "all", "reason": "agent",
        "note": "Asked on the phone",
    }  # fmt: skip
    (found,) = http.get("/v1/suppressions", params={"channel": "sms", "address": "+44 7700 900123"}).json()["data"]
    assert found["address"] == PHONE
    assert http.get("/v1/suppressions", params={"channel": "email"}).json()["data"] == []
    assert http.get("/v1/suppressions", params={"address": "+447700900999"}).json()["data"] == []
    with api.client(api.other.key) as theirs:
        assert theirs.get("/v1/suppressions").json()["data"] == []
        problem(theirs.delete(f"/v1/suppressions/{found['id']}"), 404)
        problem(theirs.get("/v1/suppressions", params={"starting_after": found["id"]}), 404)
    assert http.delete(f"/v1/suppressions/{found['id']}").status_code == 204
    problem(http.delete(f"/v1/suppressions/{found['id']}"), 404)


def test_the_list_has_pages(http: httpx.Client) -> None:
    made = [
        http.post("/v1/suppressions", json={"channel": "email", "address": f"a{n}@example.com"}).json()["id"]
        for n in range(5)
    ]
    found: list[str] = []
    while True:
        place = {"channel": "email", "limit": "2"} | ({"starting_after": found[-1]} if found else {})
        page = http.get("/v1/suppressions", params=place).json()
        found += [one["id"] for one in page["data"]]
        if not page["has_more"]:
            break
    assert found == made[::-1]


@pytest.mark.parametrize(
    ("changes", "field", "code"),
    [
        ({"address": "07700 900123"}, "address", "phone_country_missing"),
        ({"channel": "qr"}, "channel", "channel_without_address"),
        ({"channel": "email", "address": "x"}, "address", "email_invalid"),
        ({"scope": "some"}, "scope", "enum"),
        ({"note": f"card {CARD}"}, "note", "card_number_not_allowed"),
        ({"reason": "stop"}, "reason", "extra_forbidden"),
    ],
)
def test_a_wrong_entry_is_refused(http: httpx.Client, changes: dict[str, Any], field: str, code: str) -> None:
    answer = http.post("/v1/suppressions", json={"channel": "sms", "address": PHONE} | changes)
    assert [(one["field"], one["code"]) for one in problem(answer, 422)["errors"]] == [(field, code)]


@pytest.mark.parametrize(
    ("channel", "to", "verdict"),
    [
        ("sms", "+49 1512 3456789", (True, "+4915123456789", "mobile", "DE")),
        ("sms", "+1 415 555 2671", (True, "+14155552671", "fixed_line_or_mobile", "US")),
        ("sms", "+442079460000", (False, None, "fixed_line", "GB")),
        ("whatsapp", "+49 1512 3456789", (True, "+4915123456789", "mobile", "DE")),
        ("sms", "12", (False, None, None, None)),
        ("email", "Ann@Example.com", (True, "Ann@example.com", None, None)),
    ],
)
def test_an_address_says_what_line_it_is(http: httpx.Client, channel: str, to: str, verdict: tuple[Any, ...]) -> None:
    found = http.post("/v1/addresses/check", json={"channel": channel, "to": to}).json()
    assert (found["valid"], found["normalized"], found["type"], found["country"]) == verdict
    assert found["suppressed"] is None


def test_an_address_on_the_list_is_right_and_says_so(api: Api, http: httpx.Client, suppressed: dict[str, Any]) -> None:
    asked = {"channel": "sms", "to": "+44 7700 900123"}
    found = http.post("/v1/addresses/check", json=asked).json()
    assert found["valid"]
    assert (found["suppressed"]["scope"], found["suppressed"]["reason"]) == ("all", "agent")
    assert found["suppressed"]["since"].endswith("Z")
    with api.client(api.other.key) as theirs:
        assert theirs.post("/v1/addresses/check", json=asked).json()["suppressed"] is None
