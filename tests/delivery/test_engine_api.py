"""Deliveries by the API: what can be asked for, how a wrong wish is answered, and how a door is closed again."""

import asyncio
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from paylink.accounts.scope import Principal, PrincipalKind
from paylink.channels import service as accounts
from paylink.channels.providers import PROVIDERS
from paylink.channels.switchboard import Switchboard
from paylink.delivery import service
from paylink.delivery.jobs import Sender
from tests.api.world import Api, api_on, problem, sign_in
from tests.channels.acme import AcmeConfig, Seen, acme
from tests.delivery.engine import Carrier

PERSON = {"name": "Ann", "email": "ann@example.com", "phone": "+447700900123"}
LINK = {"amount": 4999, "currency": "GBP", "description": "Boiler repair"}


@pytest.fixture(autouse=True)
def provider() -> Iterator[Seen]:
    with acme() as seen:
        yield seen


@pytest.fixture(scope="module")
def production(sqlite_template: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    path = tmp_path_factory.mktemp("production") / "paylink.db"
    path.write_bytes(sqlite_template.read_bytes())
    settings = {
        "env": "production",
        "rate_limits": True,
        "psp": "stripe",
        "secret_keys": [SecretStr("a secret of this shop's own and long enough")],
        "stripe_secret_key": SecretStr("sk_test_x"),
        "stripe_publishable_key": "pk_test_x",
        "stripe_webhook_secret": SecretStr("whsec_x"),
        "stripe_api_base": "https://127.0.0.1:9",
        "console_url": "https://pay.example",
        "checkout_url": "https://c.example",
    }
    with api_on(f"sqlite:///{path}", **settings) as running:
        yield running


def add_account(api: Api) -> str:
    agent = Principal(PrincipalKind.AGENT, api.shop.agent_id, "Sam Miller", api.shop.merchant_id, "ses_x")
    config = AcmeConfig(token="acme-token", sender="Shop")  # type: ignore[arg-type]
    return api.db.transact_sync(
        lambda s: accounts.add(s, api.ctx.keyring, agent, provider=PROVIDERS["acme"], name="Texts", config=config).id
    )


def send(http: httpx.Client, link: dict[str, Any], **body: Any) -> dict[str, Any]:
    answer = http.post(f"/v1/payment_links/{link['id']}/deliveries", json=body)
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


def withdraw(http: httpx.Client, link: dict[str, Any], sent: dict[str, Any], **options: Any) -> httpx.Response:
    return http.post(f"/v1/payment_links/{link['id']}/deliveries/{sent['id']}/withdraw", **options)


def test_a_delivery_says_how_it_goes_and_what_comes_next(api: Api, http: httpx.Client) -> None:
    wish = {
        "channel": "whatsapp",
        "language": "de_at",
        "fallback": [{"channel": "sms"}, {"channel": "email", "to": "Bob@Example.com"}],
    }
    link = api.create(http, customer=PERSON, deliver=[wish])
    (sent,) = link["deliveries"]
    expected = {
        "channel": "whatsapp",
        "to": PERSON["phone"],
        "status": "queued",
        "locale": "de-AT",
        "purpose": "link",
        "attempts": 0,
        "fallback": [{"channel": "sms", "to": PERSON["phone"]}, {"channel": "email", "to": "Bob@example.com"}],
    }
    assert {name: sent[name] for name in expected} == expected
    empty = ("via", "provider", "failure_code", "last_fault", "fallback_of", "fallback_reason", "read_at")
    assert {sent[name] for name in (*empty, "withdrawn_at")} == {None}
    assert http.get(f"/v1/payment_links/{link['id']}").json()["deliveries"] == [sent]
    row = api.db.read_sync(lambda session: service.of_links(session, [link["id"]])[link["id"]][0])
    assert row.fallback_after_s == 120


def test_for_an_app_of_the_agents_own_there_is_text_to_paste(api: Api, http: httpx.Client) -> None:
    link = api.create(http, customer=PERSON | {"locale": "fr"}, deliver=[{"channel": "other", "to": "Telegram"}])
    (first,) = link["deliveries"]
    second = send(http, link, channel="other", language="de")
    for sent, to, word in ((first, "Telegram", "Shop One"), (second, None, "Shop One")):
        assert (sent["status"], sent["to"]) == ("sent", to)
        assert sent["url"] in sent["text"]
        assert word in sent["text"]
        assert link["session_words"] in sent["text"]
    assert first["text"].replace(first["url"], "") != second["text"].replace(second["url"], "")
    for one in http.get(f"/v1/payment_links/{link['id']}").json()["deliveries"]:
        assert not {"url", "text"} & set(one)


WRONG = [
    ({"channel": "whatsapp"}, "to", "address_missing"),
    ({"channel": "whatsapp", "to": "@ann"}, "to", "phone_country_missing"),
    ({"channel": "other", "to": "card 4242 4242 4242 4242"}, "to", "card_number_not_allowed"),
    ({"channel": "sms", "to": "+447700900123", "language": "xx-nowhere-at-all"}, "language", "locale_unknown"),
    ({"channel": "sms", "to": "+447700900123", "via": "chn_x"}, "via", "no_such_account"),
    ({"channel": "qr", "via": "chn_x"}, "via", "carried_by_hand"),
    ({"channel": "chat", "via": "chn_x"}, "via", "carried_by_hand"),
    ({"channel": "sms", "to": "+447700900123", "fallback_after": 60}, "fallback_after", "fallback_missing"),
    ({"channel": "qr", "fallback": [{"channel": "sms", "to": "+447700900123"}]}, "fallback", "fallback_by_hand"),
    (
        {
            "channel": "sms",
            "to": "+447700900123",
            "fallback": [{"channel": "email", "to": "a@b.co"}, {"channel": "qr"}],
        },
        "fallback.1.channel",
        "fallback_by_hand",
    ),
    (
        {"channel": "sms", "to": "+447700900123", "fallback": [{"channel": "whatsapp", "to": "1"}]},
        "fallback.0.to",
        "phone_country_missing",
    ),
    (
        {"channel": "sms", "to": "+447700900123", "fallback": [{"channel": "email"}]},
        "fallback.0.to",
        "address_missing",
    ),
    (
        {"channel": "sms", "to": "+447700900123", "fallback": [{"channel": "email", "to": "a@b.co", "via": "chn_x"}]},
        "fallback.0.via",
        "no_such_account",
    ),
    (
        {"channel": "sms", "to": "+447700900123", "fallback": [{"channel": "email", "to": "a@b.co"}] * 4},
        "fallback",
        "too_long",
    ),
    *(
        (
            {
                "channel": "sms",
                "to": "+447700900123",
                "fallback": [{"channel": "email", "to": "a@b.co"}],
                "fallback_after": seconds,
            },
            "fallback_after",
            code,
        )
        for seconds, code in ((29, "greater_than_equal"), (86401, "less_than_equal"), ("60", "int_type"))
    ),
    (
        {"channel": "sms", "to": "+447700900123", "fallback": [{"channel": "email", "fallback": []}]},
        "fallback.0.fallback",
        "extra_forbidden",
    ),
]


@pytest.mark.parametrize(("wish", "field", "code"), WRONG, ids=[f"{code}-{field}" for _, field, code in WRONG])
def test_what_is_wrong_is_said_at_its_field(
    api: Api, http: httpx.Client, wish: dict[str, Any], field: str, code: str
) -> None:
    link = api.create(http)
    again = problem(http.post(f"/v1/payment_links/{link['id']}/deliveries", json=wish), 422)["errors"]
    assert [(error["field"], error["code"]) for error in again] == [(field, code)]
    new = problem(http.post("/v1/payment_links", json=LINK | {"deliver": [{"channel": "qr"}, wish]}), 422)["errors"]
    assert [(error["field"], error["code"]) for error in new] == [(f"deliver.1.{field}", code)]


def test_it_goes_by_the_account_that_is_named(api: Api, http: httpx.Client, provider: Seen) -> None:
    account = add_account(api)
    link = api.create(http, customer=PERSON, deliver=[{"channel": "sms", "via": account}])
    again = send(http, link, channel="email", fallback=[{"channel": "sms", "via": account}])
    assert [link["deliveries"][0]["via"], again["via"]] == [account, None]
    problem(
        http.post(f"/v1/payment_links/{link['id']}/deliveries", json={"channel": "email", "via": account}),
        422,
        "no_such_account",
    )
    with api.client(api.other.key) as other:
        theirs = api.create(other)
        wish = {"channel": "sms", "to": PERSON["phone"], "via": account}
        problem(other.post(f"/v1/payment_links/{theirs['id']}/deliveries", json=wish), 422, "no_such_account")
    with sign_in(api) as browser:
        assert browser.patch(f"/v1/channel_accounts/{account}", json={"enabled": False}).status_code == 200
    wish = {"channel": "sms", "to": PERSON["phone"], "via": account}
    problem(http.post(f"/v1/payment_links/{link['id']}/deliveries", json=wish), 422, "no_such_account")


def test_in_production_a_channel_needs_an_account(production: Api) -> None:
    wish = {"channel": "sms", "to": PERSON["phone"]}
    with production.client() as http:
        for deliver, field in (
            ([wish], "deliver.0.channel"),
            ([{"channel": "chat", "to": "@ann"}], "deliver.0.channel"),
            ([{"channel": "qr"}, {"channel": "email", "to": "a@b.co"}], "deliver.1.channel"),
        ):
            found = problem(http.post("/v1/payment_links", json=LINK | {"deliver": deliver}), 422)["errors"]
            assert [(error["field"], error["code"]) for error in found] == [(field, "channel_unavailable")]
        by_hand = [{"channel": "qr"}, {"channel": "chat"}, {"channel": "other"}]
        link = production.create(http, deliver=by_hand)
        problem(http.post(f"/v1/payment_links/{link['id']}/deliveries", json=wish), 422, "channel_unavailable")
        add_account(production)
        assert send(http, link, **wish)["status"] == "queued"
        assert production.create(http, deliver=[wish])["deliveries"][0]["status"] == "queued"
        with production.client(production.other.key) as other:
            problem(other.post("/v1/payment_links", json=LINK | {"deliver": [wish]}), 422, "channel_unavailable")


def test_no_account_is_looked_for_where_none_is_needed(
    api: Api, http: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    monkeypatch.setattr("paylink.links.routes.accounts.available", lambda _s, who: asked.append(who) or {})
    link = api.create(http, customer=PERSON, deliver=[{"channel": name} for name in ("sms", "email", "whatsapp", "qr")])
    api.create(http)
    send(http, link, channel="sms", fallback=[{"channel": "email"}])
    assert asked == []
    http.post(f"/v1/payment_links/{link['id']}/deliveries", json={"channel": "sms", "via": "chn_x"})
    assert asked == [api.shop.merchant_id]


def test_a_door_that_is_withdrawn_opens_nothing_and_the_others_still_do(api: Api, http: httpx.Client) -> None:
    link = api.create(http, deliver=[{"channel": "qr"}, {"channel": "chat"}])
    gone, stays = link["deliveries"]
    answer = withdraw(http, link, gone)
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert (body["id"], body["status"]) == (gone["id"], "sent")
    assert body["withdrawn_at"] is not None
    doors = [opened(api, one["url"]) for one in (gone, stays, link)]
    assert doors == [None, stays["id"], doors[2]]
    assert doors[2] is not None
    problem(http.get(f"/v1/payment_links/{link['id']}/deliveries/{gone['id']}/qr.png"), 409, "qr_not_available")
    problem(withdraw(http, link, gone), 409, "delivery_withdrawn")
    told = http.get(f"/v1/payment_links/{link['id']}/events").json()["data"]
    assert [event["type"] for event in told].count("delivery.withdrawn") == 1
    assert told[0]["type"] == "delivery.withdrawn"
    assert told[0]["data"] == {"delivery": gone["id"], "channel": "qr", "to": None, "by": "Tests"}
    with sign_in(api) as browser:
        entries = browser.get("/v1/audit_entries").json()["data"]
    (entry,) = [one for one in entries if one["subject"] == gone["id"]]
    assert (entry["action"], entry["details"]["channel"]) == ("delivery.withdrawn", "qr")


def test_what_still_waits_is_not_sent_once_it_is_withdrawn(api: Api, http: httpx.Client) -> None:
    link = api.create(http, customer=PERSON, deliver=[{"channel": "sms"}])
    (sent,) = link["deliveries"]
    body = withdraw(http, link, sent).json()
    assert (body["status"], body["failure_reason"]) == ("failed", service.WITHDRAWN_UNSENT)
    carrier = Carrier()
    asyncio.run(sender(api, carrier).send(sent["id"]))
    assert carrier.messages == []
    told = http.get(f"/v1/payment_links/{link['id']}/events", params={"after_seq": 2}).json()["data"]
    assert [event["type"] for event in told] == ["delivery.failed", "delivery.withdrawn"]


def test_withdrawing_can_be_repeated_safely(api: Api, http: httpx.Client) -> None:
    link = api.create(http, deliver=[{"channel": "qr"}])
    key = {"Idempotency-Key": f"withdraw-{link['id']}"}
    first, second = (withdraw(http, link, link["deliveries"][0], headers=key) for _ in range(2))
    assert (first.status_code, second.status_code) == (200, 200)
    assert first.json() == second.json()
    assert "idempotent-replayed" not in first.headers
    assert second.headers["idempotent-replayed"] == "true"


def test_nobody_withdraws_what_is_not_theirs_or_not_there(api: Api, http: httpx.Client) -> None:
    link, another = api.create(http, deliver=[{"channel": "qr"}]), api.create(http)
    (sent,) = link["deliveries"]
    with api.client(api.other.key) as other:
        problem(withdraw(other, link, sent), 404, "not_found")
    problem(withdraw(http, another, sent), 404, "not_found")
    problem(withdraw(http, link, {"id": "dlv_x"}), 404, "not_found")
    direct = opened(api, link["url"])
    problem(withdraw(http, link, {"id": direct}), 404, "not_found")
    assert opened(api, sent["url"]) == sent["id"]


def opened(api: Api, url: str) -> str | None:
    """The delivery behind an address."""
    token = url.rpartition("/")[2]
    door = api.db.read_sync(lambda session: service.find_by_token(session, api.ctx.keyring, token))
    return None if door is None else door.delivery_id


def sender(api: Api, carrier: Carrier) -> Sender:
    board = Switchboard(api.db, api.ctx.keyring, sandbox=carrier)
    return Sender(api.db, api.ctx.jobs, api.ctx.keyring, board, checkout_url="https://pay.example")
