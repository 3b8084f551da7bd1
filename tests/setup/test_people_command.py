"""``paylink merchant`` and ``paylink agent``: how a real installation gets its first people."""

import os
import subprocess
from pathlib import Path

import httpx
import pytest

from tests.product import PAYLINK, Product, environment


def run(database_url: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    env = environment({"PAYLINK_DATABASE_URL": database_url}) | {"PATH": os.environ["PATH"]}
    return subprocess.run([PAYLINK, *arguments], env=env, capture_output=True, text=True, check=False, timeout=120)


def made(database_url: str, *arguments: str) -> dict[str, str]:
    done = run(database_url, *arguments)
    assert done.returncode == 0, done.stderr
    return dict(line.split(maxsplit=1) for line in done.stdout.splitlines())


def refused(database_url: str, *arguments: str) -> str:
    done = run(database_url, *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert "Traceback" not in done.stderr
    return done.stderr


@pytest.mark.parametrize("name", ["sqlite_database", "postgres_database"])
def test_a_merchant_is_made_and_its_people_come_and_go(
    tmp_path: Path, name: str, request: pytest.FixtureRequest
) -> None:
    url = request.getfixturevalue(name)
    new = f"sqlite:///{tmp_path / 'new.db'}"
    assert "no agent a@b.example" in refused(new, "agent", "disable", "--email", "a@b.example")
    ann = made(url, "merchant", "create", "--name", "Acme", "--email", "Ann@Example.com", "--agent-name", "Ann")
    bob = made(url, "agent", "add", "--merchant", ann["Merchant"], "--email", "bob@example.com")
    assert ann["Email"] == "ann@example.com"
    again = refused(url, "merchant", "create", "--name", "Acme", "--email", "ann@example.com")
    assert "ann@example.com is an agent already" in again
    assert "no merchant mer_nobody" in refused(
        url, "agent", "add", "--merchant", "mer_nobody", "--email", "c@d.example"
    )
    assert "no agent nobody@example.com" in refused(url, "agent", "password", "--email", "nobody@example.com")
    assert "--email" in refused(url, "agent", "password", "--email", "nonsense")

    product = Product(tmp_path, {"PAYLINK_DATABASE_URL": url, "PAYLINK_RATE_LIMITS": "off"})
    node = product.start("api")
    try:
        with httpx.Client(base_url=node.console, trust_env=False) as http:
            assert signs_in(http, ann) == signs_in(http, bob) == 201
            assert http.get("/v1/me").json()["merchant"]["name"] == "Acme"
            fresh = made(url, "agent", "password", "--email", bob["Email"])
            assert http.get("/v1/me").status_code == 401
            assert (signs_in(http, bob), signs_in(http, fresh)) == (401, 201)
            assert run(url, "agent", "disable", "--email", bob["Email"]).returncode == 0
            assert (http.get("/v1/me").status_code, signs_in(http, fresh)) == (401, 401)
            assert signs_in(http, ann) == 201
            told = [entry["action"] for entry in http.get("/v1/audit_entries").json()["data"]]
        assert {"agent.added", "agent.password_set", "agent.disabled"} <= set(told)
    finally:
        node.stop()


def signs_in(http: httpx.Client, who: dict[str, str]) -> int:
    return http.post("/v1/sessions", json={"email": who["Email"], "password": who["Password"]}).status_code
