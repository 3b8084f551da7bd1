"""Addresses of providers that a person types, such as a gateway's: never a way into the operator's own network.

In production an address must be https and lead to the internet. A private or local one is reached only where the
operator names it in ``PAYLINK_PRIVATE_CHANNEL_HOSTS``, by name or by network; then plain http will do. A name is looked
up when it is saved and again before each use, for what it leads to can change in between.
"""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final, Self
from urllib.parse import urlsplit

import httpx
from pydantic import BaseModel

from paylink.channels.base import Callback, Channel, FinalRefusal, Message, Parsed, TemporaryFault

Address = IPv4Address | IPv6Address
LOOK_UP_S: Final = 5.0
# NAT64 (RFC 6052): an IPv4 address in the last 32 bits.
NAT64: Final = ip_network("64:ff9b::/96")
ASK_OPERATOR: Final = "If it is right, ask the operator to name it in PAYLINK_PRIVATE_CHANNEL_HOSTS."


class OutsideRefused(ValueError):
    """Its text is a sentence for the person who typed the address."""


class NotFoundOutside(OutsideRefused):
    """There is no such name just now, which may be the name server's fault."""


@dataclass(frozen=True, slots=True)
class Allowed:
    """Which private places may be reached. ``everything``: in development."""

    everything: bool = False
    names: frozenset[str] = frozenset()
    networks: tuple[IPv4Network | IPv6Network, ...] = ()

    @classmethod
    def of(cls, hosts: str, *, everything: bool) -> Self:
        """``hosts``: names and networks, comma-separated. Raises ``ValueError`` for a network that is none."""
        names, networks = set(), []
        for part in filter(None, (part.strip().lower().rstrip(".") for part in hosts.split(","))):
            if "/" in part or _literal(part) is not None:
                networks.append(ip_network(part, strict=False))
            else:
                names.add(part)
        return cls(everything, frozenset(names), tuple(networks))

    def name(self, host: str) -> bool:
        return self.everything or host.lower().rstrip(".") in self.names

    def address(self, address: Address) -> bool:
        return self.everything or any(address in network for network in self.networks)


def check_url(url: str, *, allowed: Allowed) -> str:
    """The host of an address that may be used, as far as its text tells. Raises ``OutsideRefused``."""
    try:
        parts = urlsplit(url)
        host, _port = parts.hostname or "", parts.port
    except ValueError:
        raise OutsideRefused("Is not an address; write it like https://gateway.example.com") from None
    if parts.scheme not in {"https", "http"} or not host:
        raise OutsideRefused("Is not an address; write it like https://gateway.example.com")
    if parts.username or parts.password:
        raise OutsideRefused("Must not hold a user name or password; give them in their own fields")
    check_host(host, allowed=allowed)
    literal = _literal(host)
    private = allowed.name(host) or (literal is not None and allowed.address(literal))
    if parts.scheme == "http" and not private:
        raise OutsideRefused("Must begin with https://, so that nobody on the way can read it")
    return host


def check_host(host: str, *, allowed: Allowed) -> None:
    """A host as far as its text tells."""
    literal = _literal(host)
    local = host.lower().rstrip(".")
    if literal is not None and not (_public(literal) or allowed.address(literal) or allowed.name(host)):
        raise OutsideRefused(f"Leads into a private network. {ASK_OPERATOR}")
    if (local == "localhost" or local.endswith((".localhost", ".local", ".internal"))) and not allowed.name(host):
        raise OutsideRefused(f"Leads to this machine or its own network. {ASK_OPERATOR}")


async def reach(host: str, *, allowed: Allowed) -> str:
    """An address of ``host`` that may be connected to. Raises ``OutsideRefused`` if any of them may not be."""
    check_host(host, allowed=allowed)
    try:
        loop = asyncio.get_running_loop()
        found = await asyncio.wait_for(loop.getaddrinfo(host, None, type=socket.SOCK_STREAM), LOOK_UP_S)
    except (OSError, UnicodeError, TimeoutError):
        raise NotFoundOutside("Cannot be found; please check how it is written") from None
    addresses = [str(one[4][0]) for one in found]
    for address in addresses:
        literal = _literal(address)
        if not (allowed.name(host) or (literal and (_public(literal) or allowed.address(literal)))):
            raise OutsideRefused(f"Leads into a private network. {ASK_OPERATOR}")
    return addresses[0]


def places(config: BaseModel) -> Iterator[tuple[str, str, bool]]:
    """The settings that say where to connect to: name, value, and whether it is a URL.

    One that reads like a URL is one, and one that is called a host is a host; ``format`` in its schema says otherwise.
    """
    for name, field in type(config).model_fields.items():
        value = getattr(config, name)
        extra = field.json_schema_extra
        kind = extra.get("format") if isinstance(extra, dict) else None
        if not isinstance(value, str) or not value or kind not in {None, "uri", "hostname"}:
            continue
        if kind == "uri" or value.lower().startswith(("http://", "https://")):
            yield name, value, True
        elif kind == "hostname" or name == "host" or name.endswith("_host"):
            yield name, value, False


async def problems(config: BaseModel, *, allowed: Allowed) -> list[tuple[str, OutsideRefused]]:
    """The settings that lead where they must not, by name."""
    found = []
    for name, value, is_url in [] if allowed.everything else places(config):
        try:
            await reach(check_url(value, allowed=allowed) if is_url else value, allowed=allowed)
        except OutsideRefused as refused:
            found.append((name, refused))
    return found


class Guarded:
    """A channel whose settings are looked at again before each message, and which reaches only what is allowed."""

    def __init__(self, channel: Channel, config: BaseModel, *, allowed: Allowed) -> None:
        self._channel = channel
        self._config = config
        self._allowed = allowed
        self.name = channel.name
        self.capabilities = channel.capabilities

    async def send(self, message: Message) -> str:
        async with self.within() as channel:
            return await channel.send(message)

    @asynccontextmanager
    async def within(self) -> AsyncIterator[Channel]:
        """The channel itself, for as long as it is looked after: whatever it calls meanwhile."""
        if found := await problems(self._config, allowed=self._allowed):
            field, refused = found[0]
            error = TemporaryFault if isinstance(refused, NotFoundOutside) else FinalRefusal
            raise error(f"{field}: {refused}", code="address_not_allowed")
        token = _allowed.set(self._allowed)
        try:
            yield self._channel
        finally:
            _allowed.reset(token)

    def parse_callback(self, callback: Callback) -> Parsed:
        return self._channel.parse_callback(callback)

    async def close(self) -> None:
        await self._channel.close()


class Transport(httpx.AsyncHTTPTransport):
    """For an adapter that calls an address which a person typed: connects to the very address that was checked, so
    that a name server cannot answer the check with one and the connection with another."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        allowed = _allowed.get()
        if allowed.everything:
            return await super().handle_async_request(request)
        host = request.url.host
        try:
            check_url(str(request.url), allowed=allowed)
            address = await reach(host, allowed=allowed)
        except OutsideRefused as refused:
            raise httpx.ConnectError(str(refused)) from None
        # The name stays what the certificate is checked against, and what ``Host`` says.
        pinned = httpx.Request(
            request.method,
            request.url.copy_with(host=address),
            headers=request.headers,
            stream=request.stream,
            extensions={**request.extensions, "sni_hostname": host},
        )
        return await super().handle_async_request(pinned)


# What may be reached by what is being sent just now. Where nobody says, it is a test or a tool of the operator's own.
ANYWHERE: Final = Allowed(everything=True)
_allowed: ContextVar[Allowed] = ContextVar("allowed", default=ANYWHERE)


def _literal(host: str) -> Address | None:
    try:
        return ip_address(host.strip("[]"))
    except ValueError:
        return None


def _public(address: Address) -> bool:
    """Reachable over the internet, also behind every way to write an IPv4 address as an IPv6 one."""
    if isinstance(address, IPv6Address):
        teredo = address.teredo
        inner = address.ipv4_mapped or address.sixtofour or (teredo[1] if teredo else None)
        if address in NAT64:
            inner = IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is not None:
            return _public(inner)
    return address.is_global and not address.is_multicast
