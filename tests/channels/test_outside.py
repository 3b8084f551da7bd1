"""Addresses that a person types never lead into the operator's own network: not when saved, not when used."""

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from pydantic import BaseModel, Field

from paylink.channels import outside
from paylink.channels.base import Callback, Capabilities, FinalRefusal, Message, Parsed, TemporaryFault
from paylink.channels.outside import (
    ANYWHERE,
    Allowed,
    Guarded,
    NotFoundOutside,
    OutsideRefused,
    Transport,
    check_url,
    problems,
    reach,
)

STRICT = Allowed()
PUBLIC = "93.184.216.34"


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """What the name server answers, from now on and as often as it is asked."""
    known: dict[str, list[str]] = {"gateway.example": [PUBLIC]}

    async def answer(_loop: Any, host: str, port: int | None, **_options: Any) -> list[Any]:
        try:
            found = known.get(host) or [socket.inet_ntoa(socket.inet_aton(host))]
        except OSError:
            found = [host] if ":" in host else []
        if not found:
            raise socket.gaierror(socket.EAI_NONAME, "not known")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (one, port)) for one in found]

    monkeypatch.setattr(asyncio.BaseEventLoop, "getaddrinfo", answer)
    return known


@pytest.mark.parametrize(
    "url",
    [
        *("http://gateway.example/send", "ftp://gateway.example", "gateway.example", "//gateway.example", "https://"),
        *("https://user:secret@gateway.example", "https://user@gateway.example", "https://gateway.example:99999"),
        *("https://localhost/x", "https://LOCALHOST.", "https://a.localhost", "https://db.internal", "https://nas.local"),
        *("https://127.0.0.1", "https://10.1.2.3", "https://172.16.0.1", "https://192.168.1.1", "https://0.0.0.0"),
        *("https://169.254.169.254/latest/meta-data", "https://100.64.0.1", "https://192.0.2.1", "https://224.0.0.1"),
        *("https://[::1]", "https://[::ffff:127.0.0.1]", "https://[fe80::1]", "https://[fd00::1]", "https://[::]"),
        *("https://[64:ff9b::7f00:1]", "https://[2002:7f00:1::]", "https://[ff02::1]"),
        "https://[::1",
    ],
)  # fmt: skip
def test_what_does_not_lead_to_the_internet_is_refused_by_its_text(url: str) -> None:
    with pytest.raises(OutsideRefused) as refused:
        check_url(url, allowed=STRICT)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    "url",
    ["https://gateway.example", "https://GATEWAY.example:8443/x?y", f"https://{PUBLIC}", "https://[2606:4700::1]"],
)
def test_what_leads_to_the_internet_is_taken(url: str) -> None:
    assert check_url(url, allowed=STRICT)


# Ways to write 127.0.0.1 that only a look-up tells, and a name that means it.
@pytest.mark.parametrize("host", ["127.1", "2130706433", "0x7f000001", "0177.0.0.1", "evil.example", "mixed.example"])
async def test_every_address_of_a_name_is_looked_at(names: dict[str, list[str]], host: str) -> None:
    names |= {"evil.example": ["127.0.0.1"], "mixed.example": [PUBLIC, "10.0.0.1"]}
    with pytest.raises(OutsideRefused, match="PAYLINK_PRIVATE_CHANNEL_HOSTS"):
        await reach(host, allowed=STRICT)
    assert await reach("gateway.example", allowed=STRICT) == PUBLIC


async def test_a_name_that_is_not_known_may_become_known(names: dict[str, list[str]]) -> None:
    with pytest.raises(NotFoundOutside):
        await reach("nowhere.example", allowed=STRICT)


async def test_the_operator_names_what_is_private_and_right(names: dict[str, list[str]]) -> None:
    names |= {"kannel": ["10.0.0.7"], "other": ["10.9.0.7"], "rebound.example": ["10.0.0.8", "10.9.0.8"]}
    allowed = Allowed.of(" Kannel , 10.0.0.0/24, 127.0.0.1, ::1 ,", everything=False)
    for url in ("http://kannel:13013", "http://10.0.0.9/x", "http://127.0.0.1:13013", "http://[::1]"):
        assert await reach(check_url(url, allowed=allowed), allowed=allowed)
    for host in ("other", "10.0.1.9", "127.0.0.2", "rebound.example"):
        with pytest.raises(OutsideRefused):
            await reach(host, allowed=allowed)
    # A name in the list says nothing of others, and plain http is for what is in it.
    with pytest.raises(OutsideRefused, match="https"):
        check_url("http://gateway.example", allowed=allowed)


@pytest.mark.parametrize("hosts", ["10.0.0.0/33", "kannel/8", "10.0.0/8/8"])
def test_a_network_that_is_none_is_not_taken_for_a_name(hosts: str) -> None:
    with pytest.raises(ValueError, match="/"):
        Allowed.of(hosts, everything=False)


class Config(BaseModel):
    api_url: str = "https://gateway.example"
    host: str = "gateway.example"
    smtp_host: str = ""
    second: str = Field("gateway.example", json_schema_extra={"format": "uri"})
    sites: str = Field("http://localhost", json_schema_extra={"format": "text"})
    sender: str = "localhost"


async def test_each_setting_that_leads_somewhere_is_looked_at(names: dict[str, list[str]]) -> None:
    async def wrong(**changes: str) -> list[str]:
        return [name for name, _ in await problems(Config.model_validate(changes), allowed=STRICT)]

    fine = {"second": "https://gateway.example"}
    assert await wrong(**fine) == []
    assert await wrong() == ["second"]
    for name, value in (("api_url", "http://10.0.0.1"), ("host", "10.0.0.1"), ("smtp_host", "localhost")):
        assert await wrong(**fine | {name: value}) == [name]
    assert await problems(Config(host="10.0.0.1"), allowed=ANYWHERE) == []


class Caller:
    """An adapter that calls where its settings say."""

    name = "caller"
    capabilities = Capabilities()

    def __init__(self, url: str) -> None:
        self.client = httpx.AsyncClient(transport=Transport(trust_env=False), trust_env=False, base_url=url, timeout=5)
        self.sent = 0

    async def send(self, message: Message) -> str:
        self.sent += 1
        return (await self.client.get("/")).text

    def parse_callback(self, callback: Callback) -> Parsed:
        return Parsed(body=callback.method)

    async def close(self) -> None:
        await self.client.aclose()


class Settings(BaseModel):
    url: str


MESSAGE = Message(id="x", channel="sms", to="+447700900123", text="x")


@pytest.fixture
def place() -> Iterator[tuple[int, list[bytes]]]:
    """A server on this machine, and what it was asked."""
    asked: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(5)

        def answer() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    asked.append(connection.recv(4096))
                    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        yield server.getsockname()[1], asked
        server.shutdown(socket.SHUT_RDWR)
        thread.join(5)


async def sent(adapter: Caller, url: str, allowed: Allowed) -> str:
    try:
        return await Guarded(adapter, Settings(url=url), allowed=allowed).send(MESSAGE)  # type: ignore[arg-type]
    finally:
        await adapter.close()


async def test_what_has_become_private_since_it_was_saved_is_not_called(names: dict[str, list[str]]) -> None:
    url = "https://gateway.example"
    names["gateway.example"] = ["127.0.0.1"]
    adapter = Caller(url)
    with pytest.raises(FinalRefusal, match="url: Leads into a private network"):
        await sent(adapter, url, STRICT)
    assert adapter.sent == 0
    names["gateway.example"] = []
    with pytest.raises(TemporaryFault, match="url: Cannot be found"):
        await sent(Caller(url), url, STRICT)


async def test_the_check_and_the_connection_use_one_answer(
    names: dict[str, list[str]], place: tuple[int, list[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name server that answers the check with a public address, and the connection with ours."""
    port, asked = place
    url = f"https://gateway.example:{port}"
    looked: list[str] = []
    checked: Callable[..., Any] = outside.reach

    async def flips(host: str, *, allowed: Allowed) -> str:
        found = await checked(host, allowed=allowed)
        looked.append(found)
        names["gateway.example"] = ["127.0.0.1"] if len(looked) == 1 else [PUBLIC]
        return str(found)

    monkeypatch.setattr(outside, "reach", flips)
    adapter = Caller(url)
    with pytest.raises(httpx.ConnectError, match="private network"):
        await sent(adapter, url, STRICT)
    assert adapter.sent == 1
    assert asked == []


async def test_what_is_allowed_is_called_at_the_address_that_was_checked(
    names: dict[str, list[str]], place: tuple[int, list[bytes]]
) -> None:
    port, asked = place
    names["kannel.internal"] = ["127.0.0.1"]
    url = f"http://kannel.internal:{port}"
    assert await sent(Caller(url), url, Allowed.of("kannel.internal", everything=False)) == "ok"
    assert f"host: kannel.internal:{port}".encode() in asked[0].lower()
    # Outside of a message it is a tool of the operator's own, which goes where it is told.
    adapter = Caller(f"http://127.0.0.1:{port}")
    assert await adapter.send(MESSAGE) == "ok"
    await adapter.close()
