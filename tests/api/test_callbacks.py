"""Callbacks at the front door: stored once; another account's and another mode's are kept and never worked on."""

import json
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from stripe import WebhookSignature

from paylink.kit.ids import new_id
from tests.api.world import Api, api_on, problem
from tests.psp.payloads import event, intent
from webhooks.inbound.handlers import handle
from webhooks.inbound.inbox import HANDLE_JOB
from webhooks.inbound.models import InboundEvent

PATH = "/webhooks/psp/sandbox"


def send(api: Api, raw: dict[str, Any], *, age: int = 0, secret: str | None = None) -> httpx.Response:
    body = json.dumps(raw)
    secret = secret or api.settings.stripe.webhook_secrets[0]
    signature = str(WebhookSignature.generate_signature_header(body, secret, int(time.time()) - age))
    with api.client("") as http:
        return http.post(PATH, content=body, headers={"Stripe-Signature": signature})


def told(**changes: Any) -> dict[str, Any]:
    return event(intent(id=new_id("pi")), id=new_id("evt"), **changes)


def stored(api: Api, raw: dict[str, Any]) -> list[InboundEvent]:
    query = sa.select(InboundEvent).where(InboundEvent.external_id == raw["id"])
    return api.db.read_sync(lambda session: list(session.scalars(query)))


def jobs(api: Api, inbound_id: str) -> int:
    schema = "" if api.db.sqlite else "dbos."
    query = sa.text(f"SELECT count(*) FROM {schema}workflow_status WHERE workflow_uuid = :key")
    return api.db.read_sync(lambda session: session.scalar(query, {"key": f"{HANDLE_JOB}:{inbound_id}"}) or 0)


def ignored(api: Api, why: str) -> float:
    with api.client("") as http:
        metrics = http.get("/metrics").text
    found = re.search(rf'paylink_webhooks_ignored_total\{{source="psp:sandbox",why="{why}"\}} (\S+)', metrics)
    return float(found[1]) if found else 0


def test_ours_is_stored_once_and_put_to_work(api: Api) -> None:
    raw = told()
    assert [send(api, raw).status_code for _ in range(3)] == [200] * 3
    (row,) = stored(api, raw)
    about = raw["data"]["object"]["id"]
    assert row.summary == {"subject": "payment", "payment_id": about, "object_id": about}
    assert row.handled_at is None
    assert jobs(api, row.id) == 1


@pytest.mark.parametrize(("changes", "why"), [({"account": "acct_other"}, "account"), ({"livemode": True}, "livemode")])
async def test_what_is_not_meant_for_us_is_kept_counted_and_never_worked_on(
    api: Api, changes: dict[str, Any], why: str
) -> None:
    raw, before = told(**changes), ignored(api, why)
    assert [send(api, raw).status_code for _ in range(2)] == [200] * 2
    (row,) = stored(api, raw)
    assert row.summary["ignored"] == why
    assert row.handled_at
    assert jobs(api, row.id) == 0
    assert ignored(api, why) == before + 2
    # Whoever runs it all the same finds it done, and asks the provider nothing: there is none at its address.
    await handle(api.ctx, row.id)


@pytest.mark.parametrize(
    "about", [{"object": "a_thing_of_tomorrow", "id": "x_1", "payment_intent": "pi_1"}, {"object": "dispute"}, {}]
)
async def test_a_kind_that_is_not_known_is_done_without_a_word_to_the_provider(api: Api, about: dict[str, Any]) -> None:
    raw = event(about, id=new_id("evt"), type="tomorrow.happened")
    assert send(api, raw).status_code == 200
    (row,) = stored(api, raw)
    await handle(api.ctx, row.id)
    (row,) = stored(api, raw)
    assert row.handled_at


@pytest.mark.parametrize("age", [301, -301], ids=["too old", "from the future"])
def test_what_is_out_of_time_is_refused_and_not_kept(api: Api, age: int) -> None:
    raw = told()
    problem(send(api, raw, age=age), 400, "callback_refused")
    assert stored(api, raw) == []


@pytest.fixture(scope="module")
def platform(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """Behind the endpoint of a platform, while its secret is being changed."""
    path = shutil.copy(sqlite_template, tmp_path_factory.mktemp("platform") / "paylink.db")
    secrets = "whsec_new,whsec_old"
    with api_on(f"sqlite:///{path}", stripe_account="acct_ours", stripe_webhook_secret=secrets) as running:
        yield running


@pytest.mark.parametrize(("account", "why"), [("acct_ours", None), ("acct_other", "account"), (None, "account")])
def test_behind_a_platform_only_our_account_is_ours(platform: Api, account: str | None, why: str | None) -> None:
    raw = told(account=account)
    assert send(platform, raw).status_code == 200
    (row,) = stored(platform, raw)
    assert row.summary.get("ignored") == why
    assert jobs(platform, row.id) == (1 if why is None else 0)


def test_both_secrets_are_good_while_one_is_being_changed(platform: Api) -> None:
    for secret, status in (("whsec_new", 200), ("whsec_old", 200), ("whsec_lost", 400)):
        assert send(platform, told(account="acct_ours"), secret=secret).status_code == status
