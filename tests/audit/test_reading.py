"""Reading and verifying: by the API and on the command line; and who is recorded for what."""

import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from paylink.audit.cli import commands
from paylink.audit.verify import verify
from paylink.config import Settings
from paylink.db import Database
from tests.api.world import PASSWORD, Api, Shop, problem, sign_in
from tests.audit.chains import SECRETS, lay_open, written
from tests.services import wait_until


def entries(browser: httpx.Client, **query: Any) -> list[dict[str, Any]]:
    answer = browser.get("/v1/audit_entries", params={"limit": 100, **query})
    assert answer.status_code == 200, answer.text
    return list(answer.json()["data"])


def names(found: list[dict[str, Any]]) -> list[str]:
    return [entry["action"] for entry in reversed(found)]


def test_people_and_keys_come_and_go(api: Api) -> None:
    with api.client("") as stranger:
        wrong = stranger.post("/v1/sessions", json={"email": api.shop.email, "password": "wrong"})
        unknown = stranger.post("/v1/sessions", json={"email": "nobody@one.example", "password": "wrong"})
    problem(wrong, 401, "invalid_credentials")
    assert wrong.json() == unknown.json()
    wait_until(lambda: counted(api, api.shop) == 1, what="the failed sign-in")
    with sign_in(api) as browser, sign_in(api) as leaving:
        assert leaving.delete("/v1/sessions/current").status_code == 204
        made = browser.post("/v1/api_keys", json={"name": "CRM"}).json()
        for _ in range(2):
            assert browser.delete(f"/v1/api_keys/{made['id']}").status_code == 204
        link = api.create(browser)
        assert browser.post(f"/v1/payment_links/{link['id']}/cancel").status_code == 200
        found = entries(browser)
    agent = {"actor": f"agent:{api.shop.agent_id}", "actor_name": "Agent One"}
    key = {"subject": made["id"], "details": {"name": "CRM", "last4": made["last4"]}}
    said = [{name: entry[name] for name in ("action", "actor", "actor_name", "subject", "details")} for entry in found]
    assert list(reversed(said)) == [
        {"action": "agent.sign_in_failed", "actor": "nobody", "actor_name": "", **of(api.shop)},
        {"action": "agent.signed_in", **agent, **of(api.shop)},
        {"action": "agent.signed_in", **agent, **of(api.shop)},
        {"action": "agent.signed_out", **agent, **of(api.shop)},
        {"action": "api_key.created", **agent, **key},
        {"action": "api_key.revoked", **agent, **key},
        {"action": "link.canceled", **agent, "subject": link["id"], "details": {}},
    ]
    assert [entry["seq"] for entry in found] == [7, 6, 5, 4, 3, 2, 1]
    assert {entry["object"] for entry in found} == {"audit_entry"}
    verdict = api.db.read_sync(lambda session: verify(session, api.ctx.keyring, api.shop.merchant_id))
    assert (verdict.entries, verdict.broken) == (7, None)
    for secret in (made["key"], PASSWORD, "nobody@one.example", api.shop.email):
        assert secret not in json.dumps(found)


def test_a_key_that_cancels_a_link_is_named(api: Api, http: httpx.Client) -> None:
    link = api.create(http)
    assert http.post(f"/v1/payment_links/{link['id']}/cancel").status_code == 200
    with sign_in(api) as browser:
        (canceled,) = [one for one in entries(browser) if one["subject"] == link["id"]]
    assert canceled["actor"].startswith("api_key:key_")
    assert canceled["actor_name"] == "Tests"


def test_only_people_read_it_and_only_their_own(api: Api, http: httpx.Client) -> None:
    problem(http.get("/v1/audit_entries"), 403, "agents_only")
    with sign_in(api, api.other) as other, sign_in(api) as browser:
        assert {entry["actor_name"] for entry in entries(other)} == {"Agent Two"}
        foreign = entries(browser)[0]["id"]
        problem(other.get("/v1/audit_entries", params={"starting_after": foreign}), 404)


def test_the_list_goes_on_where_it_stopped(api: Api) -> None:
    with sign_in(api) as browser, sign_in(api):
        everything = entries(browser)
        first = browser.get("/v1/audit_entries", params={"limit": 1}).json()
        assert (first["object"], first["has_more"], first["data"]) == ("list", True, everything[:1])
        rest = entries(browser, starting_after=first["data"][0]["id"])
        assert rest == everything[1:]
        problem(browser.get("/v1/audit_entries", params={"limit": 0}), 422)


def counted(api: Api, shop: Shop) -> int:
    return api.db.read_sync(lambda session: verify(session, api.ctx.keyring, shop.merchant_id)).entries


def of(shop: Shop) -> dict[str, Any]:
    return {"subject": shop.agent_id, "details": {}}


# --- on the command line


class Operator:
    """Runs ``paylink audit`` on a database."""

    def __init__(self, database_url: str) -> None:
        settings = Settings(_env_file=None, database_url=database_url, secret_keys=SECRETS)
        self._app = commands(lambda: settings)

    def run(self, *words: str) -> tuple[int, str]:
        result = CliRunner().invoke(self._app, list(words), catch_exceptions=False)
        return result.exit_code, result.output


@pytest.fixture
def operator(database_url: str) -> Operator:
    return Operator(database_url)


def test_a_whole_chain_prints_what_to_note(operator: Operator, db: Database) -> None:
    head = written(db, "mer_1").rows[-1]["hash"].hex()
    code, said = operator.run("verify")
    assert (code, said) == (0, f"✓ mer_1:12:{head} whole, 12 entries\n")
    assert operator.run("verify", "--expect", f"mer_1:12:{head}")[0] == 0
    assert operator.run("verify", "--expect", f"mer_1:11:{head}")[0] == 1
    code, said = operator.run("verify", "--expect", f"mer_gone:3:{head}", "--merchant", "mer_1")
    assert code == 1
    assert "✗ mer_gone: entry 3 is not the one whose hash was noted" in said
    assert operator.run("verify", "--expect", "mer_1:12")[0] == 2


def test_a_broken_chain_is_named_and_the_others_are_whole(operator: Operator, db: Database) -> None:
    first = written(db, "mer_1")
    written(db, "mer_2", entries=2)
    lay_open(db)
    with db.engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM audit_entries WHERE merchant_id = 'mer_1' AND seq = 7")
    code, said = operator.run("verify")
    assert code == 1
    assert said.startswith("✗ mer_1: entry 7 is missing\n✓ mer_2:2:")
    code, said = operator.run("verify", "--json", "--merchant", "mer_1")
    sound = first.rows[5]["hash"].hex()
    broken = {"seq": 7, "fault": "missing", "entry": None}
    assert (code, json.loads(said)) == (1, [{"merchant": "mer_1", "entries": 6, "head": sound, "broken": broken}])
    assert operator.run("verify", "--merchant", "mer_2")[0] == 0


def test_the_newest_entries_are_listed(operator: Operator, db: Database) -> None:
    written(db, "mer_1", entries=3)
    code, said = operator.run("list", "--merchant", "mer_1", "--limit", "2")
    assert code == 0
    assert "Zoë" not in said
    assert "Иван" in said


def test_a_database_that_is_not_there_yet_is_told(tmp_path: Path) -> None:
    assert Operator(f"sqlite:///{tmp_path / 'none.db'}").run("verify")[0] == 2
