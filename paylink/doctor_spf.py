"""Questions to DNS, and an SPF record read to its end: what it lets send, and how many lookups that takes."""

from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

import dns.exception
import dns.name
import dns.resolver
from dns.rdtypes.ANY.MX import MX
from dns.rdtypes.ANY.TXT import TXT

# A reader may stop at ten lookups; this one goes on a little, to tell how far it is over.
GIVE_UP_AFTER: Final = 30
_NO_NAMES: Final = (dns.name.EmptyLabel, dns.name.NameTooLong, dns.name.LabelTooLong)
Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


class NoAnswer(Exception):
    """DNS could not be asked, which is not the same as having nothing there."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


class Dns:
    def __init__(self, resolver: dns.resolver.Resolver) -> None:
        self._resolver = resolver

    def texts(self, name: str) -> list[str]:
        """TXT records, each with its pieces put together."""
        found = self._ask(name, "TXT")
        return [b"".join(one.strings).decode(errors="replace").strip() for one in found if isinstance(one, TXT)]

    def addresses(self, name: str) -> list[str]:
        return [str(one) for kind in ("A", "AAAA") for one in self._ask(name, kind)]

    def mail_servers(self, name: str) -> list[str]:
        """By preference; an empty name is RFC 7505's "no mail"."""
        found = [one for one in self._ask(name, "MX") if isinstance(one, MX)]
        ordered = sorted(found, key=lambda one: one.preference)
        return [one.exchange.to_text(omit_final_dot=True).removesuffix(".") for one in ordered]

    def _ask(self, name: str, kind: str) -> list[object]:
        try:
            return list(self._resolver.resolve(name.rstrip(".") + ".", kind))
        except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer, *_NO_NAMES):
            return []
        except dns.exception.DNSException as error:
            raise NoAnswer(name) from error


@dataclass
class SpfReading:
    """``networks``: what passes, as far as addresses tell. ``everyone``: the sign before ``all``; ``None`` without."""

    lookups: int = 0
    networks: list[Network] = field(default_factory=list)
    included: set[str] = field(default_factory=set)
    problems: list[str] = field(default_factory=list)
    everyone: str | None = None
    # What is being read just now, one inside of the other.
    inside: list[str] = field(default_factory=list)

    def allows(self, address: Address) -> bool:
        return any(address in network for network in self.networks)


def read_spf(domain: str, record: str, ask: Dns) -> SpfReading:
    """Raises ``NoAnswer``."""
    reading = SpfReading(inside=[domain.lower()])
    _read(domain, record, ask, reading, top=True)
    return reading


def _read(domain: str, record: str, ask: Dns, reading: SpfReading, *, top: bool) -> None:
    redirect = None
    ended = False
    for term in record.split()[1:]:
        name, _, modifier = term.partition("=")
        if name.lower() == "redirect":
            redirect = modifier
        elif "=" not in term or ":" in name:
            sign, mechanism = (term[0], term[1:]) if term[0] in "+-~?" else ("+", term)
            if mechanism.lower() == "all":
                ended = True
                reading.everyone = sign if top else reading.everyone
                break
            _mechanism(domain, mechanism, ask, reading, passes=sign == "+")
    if redirect and not ended:
        _follow(redirect, ask, reading, top=top)


def _mechanism(domain: str, mechanism: str, ask: Dns, reading: SpfReading, *, passes: bool) -> None:
    kind, _, value = mechanism.partition(":")
    kind, slash, length = kind.partition("/")
    kind = kind.lower()
    if kind in {"ip4", "ip6"}:
        _literal(mechanism, value, reading, passes=passes)
    elif kind == "include":
        _follow(value, ask, reading, top=False)
    elif kind in {"a", "mx", "ptr", "exists"}:
        reading.lookups += 1
        target, _, later = value.partition("/")
        if kind in {"a", "mx"} and "%" not in target and reading.lookups <= GIVE_UP_AFTER:
            hosts = ask.mail_servers(target or domain)[:10] if kind == "mx" else [target or domain]
            found = [text for host in hosts if host for text in ask.addresses(host)]
            reading.networks += _networks(found, f"{slash}{length}" or (f"/{later}" if later else ""), passes)
    else:
        reading.problems.append(f"{mechanism} is not known to SPF")


def _literal(mechanism: str, value: str, reading: SpfReading, *, passes: bool) -> None:
    try:
        network = ip_network(value, strict=False)
    except ValueError:
        reading.problems.append(f"{mechanism} holds no address")
        return
    if passes:
        reading.networks.append(network)


def _networks(addresses: list[str], length: str, passes: bool) -> list[Network]:
    """``length``: ``/24``, ``//64`` or ``/24//64``."""
    if not passes:
        return []
    four, _, six = length.removeprefix("/").partition("//") if not length.startswith("//") else ("", "", length[2:])
    found: list[Network] = []
    for text in addresses:
        address = ip_address(text)
        wanted = four if address.version == 4 else six
        bits = int(wanted) if wanted.isdecimal() and len(wanted) < 4 else address.max_prefixlen
        found.append(ip_network(f"{text}/{min(bits, address.max_prefixlen)}", strict=False))
    return found


def _follow(name: str, ask: Dns, reading: SpfReading, *, top: bool) -> None:
    reading.lookups += 1
    name = name.lower().rstrip(".")
    if "%" in name or reading.lookups > GIVE_UP_AFTER:
        return
    if name in reading.inside:
        reading.problems.append(f"{name} includes itself")
        return
    reading.included.add(name)
    records = [text for text in ask.texts(name) if text.lower().split(" ")[0] == "v=spf1"]
    if len(records) == 1:
        reading.inside.append(name)
        _read(name, records[0], ask, reading, top=top)
        reading.inside.pop()
    else:
        reading.problems.append(f"{name} has {len(records) or 'no'} SPF records, so the whole counts as broken")
