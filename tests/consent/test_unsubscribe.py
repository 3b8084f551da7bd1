"""One click out of reminders (RFC 8058): only POST does it, only for whom the address was made."""

import base64
from typing import Any

import httpx
import pytest
import sqlalchemy as sa

from paylink.accounts.models import Merchant
from paylink.audit.models import AuditEntry
from paylink.consent import service
from paylink.consent.models import Suppression
from paylink.consent.unsubscribe import LONGEST_TOKEN, PURPOSE, unsubscribe_url
from paylink.db import Database
from paylink.kit.ids import new_id
from tests.checkout.world import World, opened_world, settings

ORIGIN = "https://checkout.test"
TO = "ann@example.com"
CLICK = {"List-Unsubscribe": "One-Click"}


@pytest.fixture
async def world(db: Database) -> Any:
    async with opened_world(db, settings()) as made:
        yield made


class Mail:
    """A reminder that went out, as the mail program has it."""

    def __init__(self, world: World, name: str = "Acme <Heating> & Söhne") -> None:
        self.world = world
        self.merchant_id = new_id("mer")
        world.ctx.db.transact_sync(lambda session: session.add(Merchant(id=self.merchant_id, name=name)))
        keyring = world.ctx.keyring
        whom = {"merchant_id": self.merchant_id, "channel": "email", "address": TO}
        self.path = unsubscribe_url(keyring, ORIGIN, **whom).removeprefix(ORIGIN)
        transport = httpx.ASGITransport(world.app)
        self.http = httpx.AsyncClient(transport=transport, base_url=ORIGIN)

    def blocked(self, purpose: str = "reminder") -> Suppression | None:
        return self.world.ctx.db.read_sync(
            lambda session: service.blocked(session, self.merchant_id, "email", TO, purpose=purpose)
        )

    def rows(self) -> int:
        query = sa.select(sa.func.count()).select_from(Suppression)
        return self.world.ctx.db.read_sync(lambda session: session.scalar(query) or 0)


@pytest.fixture
async def mail(world: World) -> Any:
    made = Mail(world)
    yield made
    await made.http.aclose()


async def test_the_mail_program_clicks_once_or_thrice(mail: Mail) -> None:
    for _ in range(3):
        answer = await mail.http.post(mail.path, data=CLICK)
        assert answer.status_code == 200
        assert "Reminders are stopped" in answer.text
    found = mail.blocked()
    assert found is not None
    assert (found.scope, found.reason, found.created_by) == ("reminders", "unsubscribe", "payer")
    # The link somebody asks for still arrives.
    assert mail.blocked("link") is None
    query = sa.select(AuditEntry).where(AuditEntry.merchant_id == mail.merchant_id)
    (noted,) = mail.world.ctx.db.read_sync(lambda session: list(session.scalars(query)))
    assert (noted.action, noted.subject) == ("suppression.added", found.id)
    assert TO not in str(noted.details)


async def test_the_other_kind_of_form_does_it_too(mail: Mail) -> None:
    answer = await mail.http.post(mail.path, files={"List-Unsubscribe": (None, "One-Click")})
    assert answer.status_code == 200
    assert mail.blocked()


async def test_to_look_changes_nothing_and_shows_a_button(mail: Mail) -> None:
    for method in ("GET", "HEAD"):
        assert (await mail.http.request(method, mail.path)).status_code == 200
    page = (await mail.http.get(mail.path)).text
    assert "Acme &lt;Heating&gt; &amp; Söhne" in page
    assert '<form method="post">' in page
    assert "Stop reminders" in page
    # A scanner that posts what it finds without the field of the standard has only looked.
    assert "Stop reminders" in (await mail.http.post(mail.path, data={"x": "y"})).text
    assert mail.rows() == 0
    # The button posts what the mail program posts.
    assert 'name="List-Unsubscribe" value="One-Click"' in page


async def test_it_speaks_the_readers_language(mail: Mail) -> None:
    page = await mail.http.get(mail.path, headers={"Accept-Language": "ar"})
    assert '<html lang="ar" dir="rtl">' in page.text


async def test_every_address_that_was_not_made_by_us_answers_alike(mail: Mail) -> None:
    token = mail.path.rpartition("/")[2]
    raw = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
    keyring = mail.world.ctx.keyring
    nobody = unsubscribe_url(keyring, ORIGIN, merchant_id="mer_never", channel="email", address=TO)
    foreign = keyring.seal(
        b'{"merchant_id": "x", "channel": "email", "address": "y"}', purpose=PURPOSE, bound_to="else"
    )
    bad = [
        "x", "%00", "a/b", "é", token[:-3], f"{token}AAAA",
        token[:30] + ("A" if token[30] != "A" else "B") + token[31:],
        base64.urlsafe_b64encode(raw[:20] + bytes([raw[20] ^ 1]) + raw[21:]).decode(),
        base64.urlsafe_b64encode(foreign).decode(),
        nobody.rpartition("/")[2], "A" * LONGEST_TOKEN, "A" * (LONGEST_TOKEN + 1),
    ]  # fmt: skip
    told = set()
    for one in bad:
        for answer in (
            await mail.http.get(f"/unsubscribe/{one}"), await mail.http.post(f"/unsubscribe/{one}", data=CLICK)
        ):  # fmt: skip
            assert answer.status_code == 404
            told.add(answer.content)
    assert len(told) == 1
    assert mail.rows() == 0


async def test_the_address_does_not_say_whose_it_is(mail: Mail) -> None:
    token = mail.path.rpartition("/")[2]
    raw = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
    assert TO.encode() not in raw
    assert mail.merchant_id.encode() not in raw
