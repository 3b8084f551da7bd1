"""Channel accounts by the API: who may change them, what is shown of them, their order, and a test message."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from paylink.audit.models import AuditEntry
from paylink.channels import service
from paylink.channels.base import FinalRefusal, TemporaryFault
from paylink.channels.models import ChannelAccount
from paylink.chats.models import Chat
from paylink.consent.models import SuppressionReason, SuppressionScope
from paylink.consent.service import suppress
from paylink.delivery.models import Delivery
from paylink.kit.clock import utcnow
from paylink.kit.ids import new_id
from tests.api.world import CARD, Api, problem, sign_in
from tests.channels.acme import Seen, acme

SECRET = "acme-secret-token"
OTHER_SECRET = "another-secret-token"
GOOD: dict[str, Any] = {"provider": "acme", "name": "Texts", "config": {"token": SECRET, "sender": "Shop"}}
TO = "+447700900123"


@pytest.fixture(autouse=True)
def provider() -> Iterator[Seen]:
    with acme() as seen:
        yield seen


@pytest.fixture
def agent(api: Api) -> Iterator[httpx.Client]:
    with sign_in(api) as browser:
        yield browser
        for one in browser.get("/v1/channel_accounts").json()["data"]:
            unlock(api, one["id"])
            assert browser.delete(f"/v1/channel_accounts/{one['id']}").status_code == 204


def unlock(api: Api, account_id: str) -> None:
    def work(session: Session) -> None:
        session.execute(sa.update(Delivery).where(Delivery.account_id == account_id).values(account_id=None))
        session.execute(sa.delete(Chat).where(Chat.account_id == account_id))

    api.db.transact_sync(work)


def add(agent: httpx.Client, **changes: Any) -> dict[str, Any]:
    answer = agent.post("/v1/channel_accounts", json=GOOD | changes)
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


def audited(api: Api, account_id: str) -> list[tuple[str, dict[str, Any]]]:
    query = sa.select(AuditEntry).where(AuditEntry.subject == account_id).order_by(AuditEntry.seq)
    return [(one.action, one.details) for one in api.db.read_sync(lambda session: list(session.scalars(query)))]


def sealed(api: Api, account_id: str) -> dict[str, Any]:
    def work(session: Session) -> dict[str, Any]:
        return service.config_of(api.ctx.keyring, session.get_one(ChannelAccount, account_id))

    return api.db.read_sync(work)


def test_an_account_is_added_and_its_secret_is_never_shown(api: Api, agent: httpx.Client) -> None:
    made = add(agent)
    assert made["callback_url"] == f"{api.settings.console_url}/webhooks/messaging/acme/{made['id']}"
    assert made["id"].startswith("chn_")
    assert made["created_at"].endswith("Z")
    shown = {name: made[name] for name in ("object", "channel", "provider", "name", "enabled", "position")}
    assert shown == {
        "object": "channel_account", "channel": "sms", "provider": "acme", "name": "Texts", "enabled": True,
        "position": 0,
    }  # fmt: skip
    assert made["secrets_set"] == ["token"]
    assert made["capabilities"] == {"delivered": True, "read": False, "replies": True}
    assert made["config"] == {
        "sender": "Shop", "base_url": "https://93.184.216.34", "region": "eu", "speed": "slow", "parts": 3,
        "flash": False, "footer": None,
    }  # fmt: skip
    assert agent.get(f"/v1/channel_accounts/{made['id']}").json() == made
    assert agent.get("/v1/channel_accounts").json() == {"object": "list", "data": [made], "has_more": False}
    assert sealed(api, made["id"])["token"] == SECRET
    assert SECRET.encode() not in api.stored()
    assert SECRET not in api.log.getvalue()
    assert audited(api, made["id"]) == [("channel.added", {"channel": "sms", "provider": "acme", "name": "Texts"})]


def test_the_same_key_adds_one_account(agent: httpx.Client) -> None:
    key = {"Idempotency-Key": new_id("try")}
    first, again = (agent.post("/v1/channel_accounts", json=GOOD, headers=key) for _ in range(2))
    assert (first.status_code, again.json()) == (201, first.json())
    assert len(agent.get("/v1/channel_accounts").json()["data"]) == 1


def test_only_people_change_accounts(api: Api, http: httpx.Client, agent: httpx.Client) -> None:
    made = add(agent)
    path = f"/v1/channel_accounts/{made['id']}"
    for method, where, body in (
        ("POST", "/v1/channel_accounts", GOOD),
        ("PATCH", path, {"name": "Mine"}),
        ("DELETE", path, None),
        ("POST", f"{path}/test", {"to": TO}),
    ):
        problem(http.request(method, where, json=body), 403, "agents_only")
    assert http.get(path).json() == made


@pytest.mark.parametrize(
    ("changes", "field", "code"),
    [
        ({"provider": "nobody"}, "provider", "provider_unknown"),
        ({"config": {"token": SECRET}}, "config.sender", "missing"),
        ({"config": {}}, "config.token", "missing"),
        ({"config": {"token": "short", "sender": "x"}}, "config.token", "too_short"),
        ({"config": {"token": SECRET, "sender": "x" * 21}}, "config.sender", "string_too_long"),
        ({"config": {"token": SECRET, "sender": "x", "region": "mars"}}, "config.region", "enum"),
        ({"config": {"token": SECRET, "sender": "x", "parts": 10}}, "config.parts", "less_than_equal"),
        ({"config": {"token": SECRET, "sender": "x", SECRET: 1}}, "config", "extra_forbidden"),
        ({"config": {"token": SECRET, "sender": "x", "region": "us", "speed": "fast"}}, "config", "value_error"),
        ({"config": GOOD["config"] | {"footer": f"card {CARD}"}}, "config.footer", "card_number_not_allowed"),
        ({"name": f"card {CARD}"}, "name", "card_number_not_allowed"),
        ({"name": " "}, "name", "string_too_short"),
        ({"config": [1]}, "config", "dict_type"),
    ],
)  # fmt: skip
def test_a_wrong_setting_is_named_and_not_repeated(
    agent: httpx.Client, changes: dict[str, Any], field: str, code: str
) -> None:
    answer = agent.post("/v1/channel_accounts", json=GOOD | changes)
    found = problem(answer, 422, code)["errors"]
    assert (field, code) in [(one["field"], one["code"]) for one in found]
    assert SECRET not in answer.text
    assert CARD not in answer.text
    assert agent.get("/v1/channel_accounts").json()["data"] == []


def test_a_secret_left_out_or_empty_stays_and_null_goes_back_to_the_default(api: Api, agent: httpx.Client) -> None:
    made = add(agent, config=GOOD["config"] | {"footer": "Bye", "backup_token": OTHER_SECRET})
    path = f"/v1/channel_accounts/{made['id']}"
    changed = agent.patch(path, json={"config": {"sender": "New", "token": "", "footer": None}}).json()
    assert (changed["config"]["sender"], changed["config"]["footer"]) == ("New", None)
    assert changed["secrets_set"] == ["token", "backup_token"]
    kept = sealed(api, made["id"])
    assert (kept["token"], kept["backup_token"], kept["sender"]) == (SECRET, OTHER_SECRET, "New")
    changed = agent.patch(path, json={"config": {"token": OTHER_SECRET, "backup_token": None}}).json()
    assert changed["secrets_set"] == ["token"]
    assert sealed(api, made["id"])["token"] == OTHER_SECRET
    problem(agent.patch(path, json={"config": {"token": None}}), 422, "missing")
    assert sealed(api, made["id"])["token"] == OTHER_SECRET
    told = audited(api, made["id"])[1:]
    assert [(action, details["changed"]) for action, details in told] == [
        ("channel.changed", ["config.footer", "config.sender"]),
        ("channel.changed", ["config.backup_token", "config.token"]),
    ]
    assert SECRET not in str(told)


def test_what_changes_nothing_is_not_told(api: Api, agent: httpx.Client) -> None:
    made = add(agent)
    same = {"name": "Texts", "enabled": True, "config": {"sender": "Shop"}, "position": 0}
    assert agent.patch(f"/v1/channel_accounts/{made['id']}", json=same).json() == made
    assert len(audited(api, made["id"])) == 1


def test_the_first_that_is_switched_on_is_what_is_sent_by(api: Api, agent: httpx.Client) -> None:
    one, two, three = (add(agent, name=name)["id"] for name in ("One", "Two", "Three"))

    def chosen(account_id: str | None = None) -> str | None:
        return api.db.read_sync(
            lambda session: service.choose(session, api.shop.merchant_id, "sms", account_id=account_id)
        )

    def order() -> list[str]:
        return [each["id"] for each in agent.get("/v1/channel_accounts").json()["data"]]

    assert (order(), chosen(), chosen(two)) == ([one, two, three], one, two)
    agent.patch(f"/v1/channel_accounts/{three}", json={"position": 0})
    assert (order(), chosen()) == ([three, one, two], three)
    agent.patch(f"/v1/channel_accounts/{three}", json={"position": 9})
    assert order() == [one, two, three]
    assert [each["position"] for each in agent.get("/v1/channel_accounts").json()["data"]] == [0, 1, 2]
    off = agent.patch(f"/v1/channel_accounts/{one}", json={"enabled": False}).json()
    assert (off["enabled"], chosen()) == (False, two)
    ways = {way["channel"]: way for way in agent.get("/v1/channels").json()["data"]}
    assert [each["name"] for each in ways["sms"]["accounts"]] == ["Two", "Three"]
    assert ways["sms"]["by_hand"] is False
    assert ways["qr"] == {"channel": "qr", "available": True, "by_hand": True, "accounts": []}
    with pytest.raises(Exception, match="switched on"):
        chosen(one)
    with pytest.raises(Exception, match="switched on"):
        api.db.read_sync(lambda session: service.choose(session, api.other.merchant_id, "sms", account_id=two))
    assert api.db.read_sync(lambda session: service.choose(session, api.other.merchant_id, "sms")) is None
    assert api.db.read_sync(lambda session: service.available(session, api.shop.merchant_id))["sms"]
    assert not api.db.read_sync(lambda session: service.available(session, api.other.merchant_id))["sms"]


def test_another_merchants_account_does_not_exist(api: Api, agent: httpx.Client) -> None:
    made = add(agent)
    path = f"/v1/channel_accounts/{made['id']}"
    with sign_in(api, api.other) as other:
        assert other.get("/v1/channel_accounts").json()["data"] == []
        for method, where, body in (
            ("GET", path, None), ("PATCH", path, {"name": "Mine"}), ("DELETE", path, None),
            ("POST", f"{path}/test", {"to": TO}),
        ):  # fmt: skip
            problem(other.request(method, where, json=body), 404, "not_found")
    assert agent.get(path).json() == made


def test_an_account_is_removed_unless_something_waits_on_it(api: Api, agent: httpx.Client) -> None:
    made = add(agent)
    path = f"/v1/channel_accounts/{made['id']}"
    link = api.create(agent, deliver=[{"channel": "sms", "to": TO}])
    delivery_id = link["deliveries"][0]["id"]

    def waits(**values: Any) -> None:
        api.db.transact_sync(
            lambda session: (
                session.execute(sa.update(Delivery).where(Delivery.id == delivery_id).values(**values)) and None
            )
        )

    waits(account_id=made["id"], status="queued")
    problem(agent.delete(path), 409, "channel_account_in_use")
    waits(status="sent")
    chat = Chat(
        id=new_id("cht"), merchant_id=api.shop.merchant_id, account_id=made["id"], secret_hash=new_id("x").encode(),
        code="123456", site="https://shop.example", seen_at=utcnow() - timedelta(days=1),
    )  # fmt: skip
    api.db.transact_sync(lambda session: session.add(chat))
    problem(agent.delete(path), 409, "channel_account_in_use")
    api.db.transact_sync(lambda session: session.execute(sa.delete(Chat).where(Chat.id == chat.id)) and None)
    assert agent.delete(path).status_code == 204
    problem(agent.get(path), 404)
    assert [action for action, _ in audited(api, made["id"])] == ["channel.added", "channel.removed"]


def test_there_is_an_end_to_how_many(agent: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "MAX_ACCOUNTS", 2)
    add(agent), add(agent)
    problem(agent.post("/v1/channel_accounts", json=GOOD), 409, "too_many_accounts")


def test_providers_say_what_they_need(http: httpx.Client) -> None:
    found = http.get("/v1/channel_providers").json()["data"]
    (acme_form,) = [one for one in found if one["provider"] == "acme"]
    assert (acme_form["channel"], acme_form["title"], acme_form["capabilities"]["replies"]) == ("sms", "Acme", True)
    fields = {one.pop("name"): one for one in acme_form["fields"]}
    assert fields["token"] == {
        "title": "API token", "description": "From your Acme account", "type": "string", "choices": None,
        "required": True, "secret": True, "default": None,
    }  # fmt: skip
    kinds = {name: (one["type"], one["choices"], one["default"], one["secret"]) for name, one in fields.items()}
    assert kinds == {
        "token": ("string", None, None, True),
        "sender": ("string", None, None, False),
        "base_url": ("string", None, "https://93.184.216.34", False),
        "region": ("choice", ["eu", "us"], "eu", False),
        "speed": ("choice", ["slow", "fast"], "slow", False),
        "parts": ("integer", None, 3, False),
        "flash": ("boolean", None, False, False),
        "footer": ("text", None, None, False),
        "backup_token": ("string", None, None, True),
    }


def test_a_test_message_is_sent_for_real_and_has_no_link(api: Api, agent: httpx.Client, provider: Seen) -> None:
    made = add(agent)
    path = f"/v1/channel_accounts/{made['id']}/test"
    key = {"Idempotency-Key": new_id("try")}
    first, again = (agent.post(path, json={"to": "+44 7700 900123"}, headers=key) for _ in range(2))
    ((token, message),) = provider.messages
    assert first.json() == again.json() == {"ok": True, "message_id": f"acme-{message.id}", "reason": None}
    assert (token, message.to, message.url) == (SECRET, TO, "")
    assert "Shop One" in message.text
    assert "http" not in message.text
    # By the account as it is now, not as it was.
    agent.patch(path.removesuffix("/test"), json={"config": {"token": OTHER_SECRET}, "enabled": False})
    assert agent.post(path, json={"to": TO}).json()["ok"]
    assert provider.messages[1][0] == OTHER_SECRET
    problem(agent.post(path, json={"to": "+442079460000"}), 422, "phone_not_mobile")


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (FinalRefusal("No such number"), "No such number"),
        (TemporaryFault("Busy"), "Busy"),
        (TimeoutError(), "did not answer in time"),
        (KeyError("sid"), "could not be understood"),
    ],
)
def test_a_test_message_that_fails_says_why(
    agent: httpx.Client, provider: Seen, fault: BaseException, reason: str
) -> None:
    provider.fault = fault
    answer = agent.post(f"/v1/channel_accounts/{add(agent)['id']}/test", json={"to": TO})
    assert answer.status_code == 200
    assert (answer.json()["ok"], answer.json()["message_id"]) == (False, None)
    assert reason in answer.json()["reason"]


def test_nobody_who_said_stop_is_tested_on(api: Api, agent: httpx.Client, provider: Seen) -> None:
    stop = {"scope": SuppressionScope.ALL, "reason": SuppressionReason.STOP, "by": "payer"}
    to = "+447700900777"
    api.db.transact_sync(lambda session: suppress(session, api.shop.merchant_id, "sms", to, **stop))  # type: ignore[arg-type]
    answer = agent.post(f"/v1/channel_accounts/{add(agent)['id']}/test", json={"to": to}).json()
    assert (answer["ok"], provider.messages) == (False, [])


def test_nobody_is_pestered_with_test_messages(
    api: Api, agent: httpx.Client, provider: Seen, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = f"/v1/channel_accounts/{add(agent)['id']}/test"
    monkeypatch.setattr(api.ctx.limits, "_enabled", True)
    answers = [agent.post(path, json={"to": TO}) for _ in range(11)]
    assert [one.status_code for one in answers] == [200] * 10 + [429]
    assert len(provider.messages) == 10
