"""The product as it runs: its commands, what operators ask it, and a log without secrets."""

import json
import re
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from paylink.db import Database
from tests.api.world import everything_in, problem
from tests.product import PAYLINK, Product, environment, product
from tests.services import wait_until

CARD = "4012888888881881"
FORMS = (CARD, "4012 8888 8888 1881", "4012-8888-8888-1881", "".join(chr(ord(digit) + 0xFEE0) for digit in CARD))
PARTS = ("88888888", "8888 8888", "8888-8888", FORMS[3][4:12])


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    folder = tmp_path_factory.mktemp("product")
    with product(
        folder, f"sqlite:///{folder / 'paylink.db'}", PAYLINK_LOG_JSON="true", PAYLINK_LOG_LEVEL="DEBUG"
    ) as made:
        yield made


def command(*words: str, folder: Path, **env: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [PAYLINK, *words], env=environment(env), cwd=folder, capture_output=True, text=True, timeout=60, check=False
    )


def lines(running: Product) -> list[dict[str, Any]]:
    return [json.loads(line) for line in running.node.log.read_text().splitlines() if line.startswith("{")]


def test_seeding_again_keeps_the_merchant_and_kills_the_old_secrets(running: Product) -> None:
    first = dict(running.seed)
    with running.client() as http:
        assert http.get("/v1/me").status_code == 200
    running.plant()
    again = running.seed
    assert set(again) == {"merchant", "agent", "api_key", "console_url", "checkout_url"}
    assert set(again["agent"]) == {"email", "password"}
    assert (again["console_url"], again["checkout_url"]) == (running.node.console, running.node.checkout)
    assert again["merchant"] == first["merchant"]
    assert again["merchant"].startswith("mer_")
    assert again["agent"]["email"] == first["agent"]["email"]
    assert again["api_key"] != first["api_key"]
    assert again["agent"]["password"] != first["agent"]["password"]
    with httpx.Client(base_url=running.node.console, trust_env=False) as http:
        old = {"Authorization": f"Bearer {first['api_key']}"}
        wait_until(lambda: http.get("/v1/me", headers=old).status_code == 401, what="the old key's end", seconds=5)
        assert http.get("/v1/me", headers={"Authorization": f"Bearer {again['api_key']}"}).status_code == 200
        problem(http.post("/v1/sessions", json=first["agent"]), 401, "invalid_credentials")
        assert http.post("/v1/sessions", json=again["agent"]).status_code == 201


def test_doctor_says_what_is_right_and_what_is_not(running: Product, tmp_path: Path) -> None:
    good = command("doctor", folder=tmp_path, **running.node.env)
    assert good.returncode in {0, 1}, good.stderr
    for words in ("SQLite", "newest", "development default"):
        assert words in good.stdout
    assert "whsec_" not in good.stdout
    assert "sk_test_" not in good.stdout
    empty = command("doctor", folder=tmp_path, PAYLINK_DATABASE_URL=f"sqlite:///{tmp_path / 'empty.db'}")
    assert empty.returncode == 1
    assert "paylink migrate" in " ".join(empty.stdout.split())


def test_unsafe_production_ends_at_once_and_says_why(tmp_path: Path) -> None:
    refused = command("serve", folder=tmp_path, PAYLINK_ENV="production")
    assert refused.returncode == 2
    assert "PAYLINK_SECRET_KEYS" in refused.stderr
    assert "Traceback" not in refused.stderr
    wrong = command("serve", folder=tmp_path, PAYLINK_PSP="nonsense", PAYLINK_SECRET_KEYS="too-short-to-show")
    assert wrong.returncode == 2
    assert "too-short-to-show" not in wrong.stderr


def test_it_is_alive_ready_and_measured(running: Product) -> None:
    with httpx.Client(base_url=running.node.console, trust_env=False) as http:
        assert (http.get("/healthz").status_code, http.get("/healthz").text) == (200, "ok")
        ready = http.get("/readyz")
        assert (ready.status_code, ready.json()["ready"]) == (200, True)
        assert ready.json()["checks"] == {"database": True, "migrations": True, "bus": True}
        http.post("/webhooks/psp/sandbox", content=b"{}")
        http.post("/webhooks/messaging/sandbox", content=b"{}", headers={b"webhook-timestamp": b"\xb2"})
        metrics = http.get("/metrics").text
    assert 'paylink_http_request_seconds_count{app="console",method="GET",route="/readyz",status="200"}' in metrics
    assert re.search(r'paylink_webhooks_refused_total\{source="psp:sandbox"\} [1-9]', metrics)
    assert re.search(r'paylink_webhooks_refused_total\{source="messaging:sandbox"\} [1-9]', metrics)


def test_it_is_not_ready_on_a_database_of_another_version(running: Product) -> None:
    path = running.settings["PAYLINK_DATABASE_URL"].removeprefix("sqlite:///")

    def set_version(version: str) -> str:
        with closing(sqlite3.connect(path, timeout=10)) as raw, raw:
            (before,) = raw.execute("SELECT version_num FROM alembic_version").fetchone()
            raw.execute("UPDATE alembic_version SET version_num = ?", (version,))
        return str(before)

    current = set_version("0000_before")
    try:
        ready = httpx.get(f"{running.node.console}/readyz", trust_env=False)
        assert (ready.status_code, ready.json()["ready"], ready.json()["checks"]["migrations"]) == (503, False, False)
        assert httpx.get(f"{running.node.console}/healthz", trust_env=False).status_code == 200
    finally:
        set_version(current)
    assert httpx.get(f"{running.node.console}/readyz", trust_env=False).status_code == 200


def test_a_part_that_finds_no_tables_says_what_to_do(tmp_path: Path) -> None:
    ended = command(
        "serve", "--role", "api", folder=tmp_path, PAYLINK_DATABASE_URL=f"sqlite:///{tmp_path / 'empty.db'}"
    )
    assert ended.returncode == 2
    assert "paylink migrate" in " ".join(ended.stderr.split())


def test_every_request_has_a_line_with_its_id(running: Product) -> None:
    with running.client() as http:
        given = http.get("/v1/me", headers={"X-Request-Id": "trace-77"})
        made = http.get("/v1/payment_links/plink_x", headers={"X-Request-Id": "not one\tof ours"})
    assert given.headers["request-id"] == "trace-77"
    assert "server" not in given.headers
    assert re.fullmatch(r"req_[0-9a-z]{26}", made.headers["request-id"])
    wanted = {given.headers["request-id"]: "/v1/me", made.headers["request-id"]: "/v1/payment_links/{link_id}"}

    def found() -> dict[str, dict[str, Any]]:
        return {line["request_id"]: line for line in lines(running) if line.get("request_id") in wanted}

    wait_until(lambda: len(found()) == 2, what="two lines", seconds=5)
    for request_id, route in wanted.items():
        line = found()[request_id]
        assert (line["event"], line["route"], line["app"], line["level"]) == ("request", route, "console", "info")
        assert line["timestamp"].endswith("Z")


def test_no_secret_reaches_a_log_a_row_or_another_answer(running: Product) -> None:
    secrets = [running.seed["api_key"], running.seed["agent"]["password"]]
    console, foreign = running.node.console, {"Origin": running.node.console}
    with running.client() as http, httpx.Client(base_url=console, headers=foreign, trust_env=False) as browser:
        body = {"amount": 4999, "currency": "GBP", "deliver": [{"channel": "qr"}]}
        link = http.post("/v1/payment_links", json=body, headers={"Idempotency-Key": "secrets"}).json()
        urls = [link["url"], link["deliveries"][0]["url"]]
        for url in urls:
            assert httpx.get(url, trust_env=False).status_code == 200
        assert browser.post("/v1/sessions", json=running.seed["agent"]).status_code == 201
        secrets += [url.rpartition("/")[2] for url in urls] + list(browser.cookies.values())
        answers = [
            answer
            for form in FORMS
            for answer in (
                http.post("/v1/payment_links", json=body | {"description": form}),
                http.post("/v1/payment_links", json=body | {"metadata": {form: form}}),
                http.get("/v1/payment_links", params={"q": form}),
                http.get(f"/v1/payment_links/{form}"),
                browser.post("/v1/sessions", json={"email": form, "password": form}),
                browser.post("/v1/api_keys", json={"name": form}),
            )
        ]
        answers += [http.get("/v1/me", headers={"X-Request-Id": form}) for form in FORMS[:3]]
        answers += [http.get(f"/v1/payment_links/{link['id']}"), http.get(f"/v1/payment_links/{link['id']}/events")]
    told = "".join(answer.text + str(answer.headers) for answer in answers).encode()
    files = b"".join(path.read_bytes() for path in running.folder.glob("**/*") if path.is_file())
    assert link["id"].encode() in files
    assert all(answer.status_code < 500 for answer in answers)
    for secret in secrets:
        assert len(secret) >= 12
        assert secret.encode() not in files
    for part in PARTS:
        assert part.encode() not in files
        assert part.encode() not in told


def test_the_database_on_postgresql_keeps_no_secret_either(postgres_database: str, tmp_path: Path) -> None:
    with product(tmp_path, postgres_database, PAYLINK_LOG_JSON="true") as running, running.client() as http:
        body = {"amount": 4999, "currency": "GBP", "deliver": [{"channel": "sms", "to": "+447700900123"}]}
        link = http.post("/v1/payment_links", json=body, headers={"Idempotency-Key": "secrets"}).json()
        http.post("/v1/payment_links", json=body | {"description": CARD})
        path = f"/v1/payment_links/{link['id']}"
        wait_until(lambda: http.get(path).json()["deliveries"][0]["status"] != "queued", what="the text message")
        (message,) = running.messages("+447700900123")
        tokens = [link["url"].rpartition("/")[2], re.search(r"/p/([\w-]{11})", message["text"])[1]]  # type: ignore[index]
        db = Database(postgres_database)
        stored = everything_in(db) + running.node.log.read_bytes()
        db.close()
        assert link["id"].encode() in stored
        for secret in (*tokens, running.seed["api_key"], CARD):
            assert secret.encode() not in stored
