"""A Matrix homeserver for the tests: Synapse on SQLite, alone in the world, on a free port of this machine."""

import base64
import hmac
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx

from tests.services import START_S, free_port, wait_until

NAME = "paylink.test"
SECRET = "shared-secret-of-the-test"
PASSWORD = "correct horse battery staple"
# As fast as a test is.
FREE = {"per_second": 1000, "burst_count": 1000}
_numbers = count(1)


@dataclass
class Person:
    """Someone with a Matrix client."""

    user_id: str
    token: str
    http: httpx.Client

    def call(self, method: str, path: str, body: Any = None, **options: Any) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {self.token}"}
        answer = self.http.request(method, f"/_matrix/client/v3{path}", json=body, headers=headers, **options)
        assert answer.is_success, (path, answer.status_code, answer.text)
        return dict(answer.json())

    def new_room(self, **options: Any) -> str:
        return str(self.call("POST", "/createRoom", {"preset": "private_chat"} | options)["room_id"])

    def invite(self, room: str, other: "Person") -> None:
        self.call("POST", f"/rooms/{quote(room)}/invite", {"user_id": other.user_id})

    def join(self, room: str) -> None:
        self.call("POST", f"/join/{quote(room)}", {})

    def leave(self, room: str) -> None:
        self.call("POST", f"/rooms/{quote(room)}/leave", {})

    def write(self, room: str, text: str, **content: Any) -> str:
        path = f"/rooms/{quote(room)}/send/m.room.message/{next(_numbers)}"
        return str(self.call("PUT", path, {"msgtype": "m.text", "body": text} | content)["event_id"])

    def read(self, room: str, event: str, kind: str = "m.read") -> None:
        self.call("POST", f"/rooms/{quote(room)}/receipt/{kind}/{quote(event)}", {})

    def messages(self, room: str) -> list[dict[str, Any]]:
        """Oldest first."""
        found = self.call("GET", f"/rooms/{quote(room)}/messages", params={"dir": "b", "limit": 100})["chunk"]
        return [event for event in reversed(found) if event["type"] == "m.room.message"]

    def invitations(self) -> list[str]:
        return list(self.call("GET", "/sync", params={"timeout": 0}).get("rooms", {}).get("invite", {}))

    def account_data(self, kind: str) -> dict[str, Any]:
        return self.call("GET", f"/user/{quote(self.user_id)}/account_data/{kind}")


@dataclass
class Homeserver:
    url: str
    http: httpx.Client
    people: dict[str, Person] = field(default_factory=dict)

    def person(self, name: str) -> Person:
        """Registered when first asked for."""
        if name not in self.people:
            place = f"{self.url}/_synapse/admin/v1/register"
            nonce = self.http.get(place).json()["nonce"]
            signed = b"\0".join(part.encode() for part in (nonce, name, PASSWORD, "notadmin"))
            mac = hmac.digest(SECRET.encode(), signed, "sha1").hex()
            body = {"nonce": nonce, "username": name, "password": PASSWORD, "admin": False, "mac": mac}
            made = self.http.post(place, json=body).json()
            self.people[name] = Person(made["user_id"], made["access_token"], self.http)
        return self.people[name]


def config(folder: Path, port: int) -> dict[str, Any]:
    listener = {
        "port": port,
        "bind_addresses": ["127.0.0.1"],
        "type": "http",
        "tls": False,
        "resources": [{"names": ["client"], "compress": False}],
    }
    return {
        "server_name": NAME,
        "pid_file": str(folder / "pid"),
        "listeners": [listener],
        "database": {"name": "sqlite3", "args": {"database": str(folder / "homeserver.db")}},
        "log_config": str(folder / "log.yaml"),
        "media_store_path": str(folder / "media"),
        "signing_key_path": str(folder / "signing.key"),
        "registration_shared_secret": SECRET,
        "macaroon_secret_key": "macaroon-secret-of-the-test",
        "form_secret": "form-secret-of-the-test",
        "report_stats": False,
        "trusted_key_servers": [],
        "federation_domain_whitelist": [],
        "presence": {"enabled": False},
        "enable_media_repo": False,
        # Each test begins anew, and not where another began two minutes ago.
        "caches": {"sync_response_cache_duration": "0s"},
        "bcrypt_rounds": 4,
        "rc_message": FREE,
        "rc_registration": FREE,
        "rc_room_creation": FREE,
        "rc_joins": {"local": FREE, "remote": FREE},
        "rc_invites": {"per_room": FREE, "per_user": FREE, "per_issuer": FREE},
        "rc_login": {"address": FREE, "account": FREE, "failed_attempts": FREE},
    }


@contextmanager
def synapse() -> Iterator[Homeserver]:
    with tempfile.TemporaryDirectory(prefix="paylink-synapse-") as name:
        folder, port = Path(name), free_port()
        # JSON is YAML.
        (folder / "homeserver.yaml").write_text(json.dumps(config(folder, port)), encoding="utf-8")
        # As Synapse would make it, in a run of its own that takes as long as a start.
        key = base64.b64encode(os.urandom(32)).decode().rstrip("=")
        (folder / "signing.key").write_text(f"ed25519 a_test {key}\n", encoding="ascii")
        (folder / "log.yaml").write_text(json.dumps({"version": 1, "root": {"level": "WARNING"}}), encoding="utf-8")
        command = [sys.executable, "-m", "synapse.app.homeserver", "-c", str(folder / "homeserver.yaml")]
        with (folder / "out").open("wb") as out:
            server = subprocess.Popen(command, cwd=folder, stdout=out, stderr=out)
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30, trust_env=False) as http:
                wait_until(lambda: _healthy(http), what="Synapse", process=server)
                yield Homeserver(f"http://127.0.0.1:{port}", http)
        finally:
            server.terminate()
            try:
                server.wait(START_S)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait(START_S)


def _healthy(http: httpx.Client) -> bool:
    try:
        return http.get("/health").is_success
    except httpx.TransportError:
        return False
