"""The merchant's side, over the API: agents and keys, their own visitors only."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy.orm import Session

from paylink.accounts.scope import Principal, PrincipalKind
from paylink.chats import visitors
from paylink.chats.models import Chat
from tests.api.world import CARD, Api, Shop, api_on, problem, sign_in
from tests.chats.world import SITE, add_account


@pytest.fixture(scope="module")
def api(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    path = tmp_path_factory.mktemp("console") / "paylink.db"
    path.write_bytes(sqlite_template.read_bytes())
    with api_on(f"sqlite:///{path}") as made:
        yield made


def visit(api: Api, shop: Shop, *said: str) -> str:
    """A visitor of the shop's site who writes this; the chat's id."""
    principal = Principal(PrincipalKind.AGENT, shop.agent_id, "Agent", shop.merchant_id, "ses_1")

    def work(session: Session) -> str:
        account_id = add_account(session, api.ctx, principal)
        begun = visitors.begin(session, api.ctx.keyring, account_id, site=SITE, name="Sam", locale="en")
        session.flush()
        chat = session.get_one(Chat, begun.chat_id)
        for text in said:
            visitors.say(session, api.ctx.keyring, chat, text=text)
        return chat.id

    return api.db.transact_sync(work)


def test_agents_and_keys_talk_with_their_own_visitors(api: Api) -> None:
    silent, talking = visit(api, api.shop), visit(api, api.shop, "Hello", "Anybody there?")
    with api.client() as http:
        listed = http.get("/v1/chats").json()["data"]
        assert [(one["id"], one["online"]) for one in listed] == [(talking, True), (silent, True)]
        assert listed[0]["last_message"]["text"] == "Anybody there?"
        assert listed[1]["last_message"] is None
        assert (listed[0]["visitor_name"], listed[0]["site"]) == ("Sam", SITE)
        by_code = http.get("/v1/chats", params={"code": listed[1]["code"]}).json()["data"]
        assert [one["id"] for one in by_code] == [silent]
        first = http.get("/v1/chats", params={"limit": 1}).json()
        assert (len(first["data"]), first["has_more"]) == (1, True)
        rest = http.get("/v1/chats", params={"limit": 1, "starting_after": talking}).json()
        assert ([one["id"] for one in rest["data"]], rest["has_more"]) == ([silent], False)
        by_key = http.post(f"/v1/chats/{talking}/messages", json={"text": " One moment "})
        assert by_key.status_code == 201
        assert (by_key.json()["sender"], by_key.json()["name"], by_key.json()["text"]) == ("agent", None, "One moment")
    with sign_in(api) as browser:
        by_agent = browser.post(f"/v1/chats/{talking}/messages", json={"text": "Here I am"})
        assert by_agent.json()["name"] == "Agent One"
        messages = partial(browser.get, f"/v1/chats/{talking}/messages")
        texts = ["Hello", "Anybody there?", "One moment", "Here I am"]
        assert [one["text"] for one in messages().json()["data"]] == texts
        last_two = messages(params={"limit": 2}).json()
        assert ([one["text"] for one in last_two["data"]], last_two["has_more"]) == (texts[2:], True)
        before = messages(params={"before": last_two["data"][0]["id"]}).json()
        assert ([one["text"] for one in before["data"]], before["has_more"]) == (texts[:2], False)
        after = messages(params={"after": by_key.json()["id"]}).json()
        assert [one["text"] for one in after["data"]] == texts[3:]


def test_anothers_visitors_do_not_exist(api: Api) -> None:
    theirs = visit(api, api.other, "Private")
    with api.client() as http, api.client("") as nobody:
        for method, path, body in [
            ("GET", f"/v1/chats/{theirs}/messages", None),
            ("POST", f"/v1/chats/{theirs}/messages", {"text": "Hi"}),
            ("GET", f"/v1/chats?starting_after={theirs}", None),
        ]:
            problem(http.request(method, path, json=body), 404, "not_found")
            problem(nobody.request(method, path, json=body), 401)
        code = api.db.read_sync(lambda session: session.get_one(Chat, theirs).code)
        assert http.get("/v1/chats", params={"code": code}).json()["data"] == []
        assert theirs not in http.get("/v1/chats?limit=100").text


def test_what_an_agent_must_not_write(api: Api) -> None:
    chat_id = visit(api, api.shop)
    with api.client() as http:
        for body, code in [
            ({"text": f"Your card {CARD}?"}, "card_number_not_allowed"),
            ({"text": "x" * 2001}, "string_too_long"),
            ({"text": " "}, "string_too_short"),
            ({"text": "a\u0000"}, "control_characters"),
            ({"text": "Hi", "sender": "visitor"}, "extra_forbidden"),
        ]:
            answer = http.post(f"/v1/chats/{chat_id}/messages", json=body)
            problem(answer, 422, code)
            assert CARD not in answer.text
        assert http.get(f"/v1/chats/{chat_id}/messages").json()["data"] == []
