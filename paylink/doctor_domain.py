"""``paylink doctor domain``: whether the world will believe mail from a domain, and what to put into DNS for that.

Large mailbox providers ask for SPF and DKIM, for DMARC with the sender's domain aligned, and for a place where bounces
arrive. SPF is read as RFC 7208 says, but for its macros; DKIM as RFC 6376 and 8301; DMARC as RFC 7489.
"""

import base64
import binascii
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final, Literal

import dns.resolver
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from paylink.doctor_spf import Dns, NoAnswer, SpfReading, read_spf

SMALLEST_RSA_KEY: Final = 1024
USUAL_RSA_KEY: Final = 2048
MOST_LOOKUPS: Final = 10
PublicKey = RSAPublicKey | Ed25519PublicKey


@dataclass(frozen=True, slots=True)
class Advice:
    """``bad``: mail will be refused or put aside. ``warn``: it may be, or it could be better."""

    level: Literal["ok", "warn", "bad"]
    what: str
    found: str
    do: str = ""


@dataclass(frozen=True, slots=True)
class Mailing:
    """How mail of ``domain`` goes out, as far as it is known. ``key``: the public half of what signs.

    ``envelope``: the domain of the return address, which SPF is about; ``relay``: an address or name mail leaves by.
    """

    domain: str
    dkim_domain: str | None = None
    selector: str | None = None
    key: PublicKey | None = None
    envelope: str | None = None
    relay: str | None = None

    @property
    def returns_to(self) -> str:
        return self.envelope or self.domain

    @property
    def signs_as(self) -> str:
        return self.dkim_domain or self.domain


def examine_domain(mailing: Mailing, resolver: dns.resolver.Resolver) -> list[Advice]:
    """Never raises for what DNS says or does not say: that is the finding."""
    ask = Dns(resolver)
    checks: list[tuple[str, Callable[[Mailing, Dns], list[Advice]]]] = [
        ("SPF", _spf),
        ("DKIM", _dkim),
        ("DMARC", _dmarc),
        ("MX", _mx),
    ]
    found: list[Advice] = []
    for what, check in checks:
        try:
            found += check(mailing, ask)
        except NoAnswer as error:
            found.append(Advice("bad", what, f"DNS does not answer for {error.name}", "Try again; look at its servers"))
    return found


def _spf(mailing: Mailing, ask: Dns) -> list[Advice]:
    domain = mailing.returns_to
    records = [text for text in ask.texts(domain) if text.lower().split(" ")[0] == "v=spf1"]
    what = f"SPF of {domain}"
    if not records:
        relay = _mechanism(mailing.relay)
        return [Advice("bad", what, "no record", f"Add a TXT record at {domain}: v=spf1 {relay} -all")]
    if len(records) > 1:
        return [Advice("bad", what, f"{len(records)} records: together they count as none", "Put them into one")]
    reading = read_spf(domain, records[0], ask)
    found = [_spf_as_a_whole(what, records[0], reading)]
    found += [Advice("bad", what, problem, "Take it out, or correct it") for problem in reading.problems]
    if mailing.relay is not None:
        found.append(_relay(what, mailing.relay, reading, ask))
    return found


def _spf_as_a_whole(what: str, record: str, reading: SpfReading) -> Advice:
    if reading.lookups > MOST_LOOKUPS:
        do = "Leave out what no longer sends, or write its addresses as ip4: and ip6:"
        return Advice("bad", what, f"{reading.lookups} lookups, {MOST_LOOKUPS} are allowed: it counts as broken", do)
    if reading.everyone in {"+", "?"}:
        return Advice("bad", what, f"{record}: anybody may send", "End it with -all or ~all")
    if reading.everyone is None:
        return Advice("warn", what, f"{record}: has no end", "End it with -all or ~all")
    return Advice("ok", what, f"{record} ({reading.lookups} of {MOST_LOOKUPS} lookups)")


def _relay(what: str, relay: str, reading: SpfReading, ask: Dns) -> Advice:
    try:
        addresses = [ip_address(relay)]
    except ValueError:
        addresses = [ip_address(text) for text in ask.addresses(relay)]
        if relay.lower().rstrip(".") in reading.included:
            return Advice("ok", what, f"includes {relay}")
    outside = [str(address) for address in addresses if not reading.allows(address)]
    if not addresses:
        return Advice("bad", what, f"{relay} is neither included nor has it an address", f"Add include:{relay}")
    if outside:
        return Advice("bad", what, f"does not allow {', '.join(outside)} ({relay})", f"Add {_mechanism(relay)}")
    return Advice("ok", what, f"allows {relay}")


def _mechanism(relay: str | None) -> str:
    """How SPF would name it. A name may be a host of its own or somebody's list; the first is what we can tell."""
    if relay is None:
        return "include:<your mail provider>"
    try:
        return f"ip{ip_address(relay).version}:{relay}"
    except ValueError:
        return f"a:{relay}"


def _dkim(mailing: Mailing, ask: Dns) -> list[Advice]:
    what = f"DKIM of {mailing.signs_as}"
    if mailing.selector is None:
        return [Advice("warn", what, "no selector is known, so no key was looked for", "Give it with --selector")]
    place = f"{mailing.selector}._domainkey.{mailing.signs_as}"
    records = [text for text in ask.texts(place) if "p=" in text.replace(" ", "")]
    if not records:
        do = f"Add a TXT record at {place}: {_record_of(mailing.key)}"
        return [Advice("bad", what, f"no key at {place}", do)]
    if len(records) > 1:
        return [Advice("bad", what, f"{len(records)} keys at {place}", "Leave one")]
    return [_dkim_key(what, place, tags(records[0]), mailing.key)]


def _dkim_key(what: str, place: str, fields: dict[str, str], ours: PublicKey | None) -> Advice:
    key = _public_key(fields)
    if (problem := _key_problem(fields, key, ours)) is not None:
        return Advice("bad", what, f"the key at {place} {problem}", f"Put there: {_record_of(ours)}")
    bits = key.key_size if isinstance(key, RSAPublicKey) else None
    if bits is not None and bits < SMALLEST_RSA_KEY:
        return Advice("bad", what, f"{bits} bits: too short to be believed", "Make a key of 2048 bits")
    if "y" in _listed(fields.get("t", "")):
        return Advice("warn", what, "says t=y, a test: its signatures may count for nothing", "Take out t=y")
    if bits is not None and bits < USUAL_RSA_KEY:
        return Advice("warn", what, f"{bits} bits", "Make a key of 2048 bits when you next change it")
    kind = f"RSA, {bits} bits" if bits is not None else "Ed25519"
    return Advice("ok", what, f"{place}: {kind}" + (", the key that signs" if ours is not None else ""))


def _key_problem(fields: dict[str, str], key: PublicKey | None, ours: PublicKey | None) -> str | None:
    if not fields.get("p"):
        return "is withdrawn"
    if fields.get("v", "DKIM1") != "DKIM1" or key is None:
        return "cannot be read"
    if "sha256" not in _listed(fields.get("h", "sha256")):
        return "is not for SHA-256, by which mail is signed"
    if ours is not None and _bytes(key) != _bytes(ours):
        return "is not the one that signs"
    return None


def _listed(value: str) -> list[str]:
    return [part.strip() for part in value.split(":")]


def _dmarc(mailing: Mailing, ask: Dns) -> list[Advice]:
    what = f"DMARC of {mailing.domain}"
    place, records = _dmarc_records(mailing.domain, ask)
    if not records:
        do = f"Add a TXT record at _dmarc.{mailing.domain}: v=DMARC1; p=none; rua=mailto:you@{mailing.domain}"
        return [Advice("bad", what, "no record", do)]
    if len(records) > 1:
        return [
            Advice("bad", what, f"{len(records)} records at _dmarc.{place}: together they count as none", "Leave one")
        ]
    fields = tags(records[0])
    policy = fields.get("p", "").lower()
    applied = (fields.get("sp", "").lower() or policy) if place != mailing.domain else policy
    if policy not in {"none", "quarantine", "reject"}:
        return [Advice("bad", what, f"{records[0]}: without a policy", "Add p=none, p=quarantine or p=reject")]
    found = [_policy(what, records[0], policy, applied)]
    return [*found, _alignment(mailing, fields, place)]


def _policy(what: str, record: str, policy: str, applied: str) -> Advice:
    if applied == "none":
        do = "Once the reports show that all your mail passes, ask for more: p=quarantine, then p=reject"
        return Advice("warn", what, f"{record}: forged mail is let through", do)
    return Advice("ok", what, record if applied == policy else f"{record}: {applied} for this domain")


def _alignment(mailing: Mailing, fields: dict[str, str], organisation: str) -> Advice:
    """One of the two is enough (RFC 7489, 3.1). A server on the way may break either."""
    dkim = mailing.selector is not None and _aligned(
        mailing.domain, mailing.signs_as, strict=fields.get("adkim", "r").lower() == "s", organisation=organisation
    )
    spf = _aligned(
        mailing.domain, mailing.returns_to, strict=fields.get("aspf", "r").lower() == "s", organisation=organisation
    )
    what = "Alignment"
    if not dkim and not spf:
        do = f"Sign as {mailing.domain}, or let bounces come to a domain of the same organisation"
        return Advice("bad", what, f"neither signature nor return address belongs to {mailing.domain}", do)
    if not dkim:
        do = f"Sign as {mailing.domain}: mail that is forwarded fails SPF"
        return Advice("warn", what, f"by the return address ({mailing.returns_to}) alone", do)
    if not spf:
        return Advice("ok", what, f"by the signature of {mailing.signs_as}; the return address is another domain's")
    return Advice("ok", what, f"signature of {mailing.signs_as}, return address at {mailing.returns_to}")


def _aligned(sender: str, other: str, *, strict: bool, organisation: str) -> bool:
    """Where organisations begin nobody can tell from names alone; the place of the DMARC record is taken for it."""
    sender, other = sender.lower(), other.lower()
    if sender == other or strict:
        return sender == other
    if _below(sender, other) or _below(other, sender):
        return True
    return sender != organisation and _below(sender, organisation) and _below(other, organisation)


def _below(name: str, parent: str) -> bool:
    return "." in parent and name.endswith(f".{parent}")


def _dmarc_records(domain: str, ask: Dns) -> tuple[str, list[str]]:
    """At the domain, else at the next one above it that has any, but for a top-level domain."""
    labels = domain.split(".")
    for start in range(len(labels) - 1):
        name = ".".join(labels[start:])
        texts = ask.texts(f"_dmarc.{name}")
        records = [text for text in texts if text.replace(" ", "").lower().startswith("v=dmarc1")]
        if records:
            return name, records
    return domain, []


def _mx(mailing: Mailing, ask: Dns) -> list[Advice]:
    domain = mailing.returns_to
    what = f"MX of {domain}"
    servers = ask.mail_servers(domain)
    if servers == [""]:
        return [Advice("bad", what, "says that the domain takes no mail: bounces are lost", "Name a server in MX")]
    if not servers and not ask.addresses(domain):
        do = f"Add an MX record at {domain} that names the server which takes bounces"
        return [Advice("bad", what, "no server: bounces are lost, and some servers refuse such senders", do)]
    if not servers:
        return [Advice("warn", what, f"none, so {domain} itself must take mail", "Add an MX record")]
    lost = [server for server in servers if not ask.addresses(server)]
    if lost:
        level: Literal["warn", "bad"] = "bad" if len(lost) == len(servers) else "warn"
        return [Advice(level, what, f"{', '.join(lost)} has no address", "Correct the name, or give it an address")]
    return [Advice("ok", what, ", ".join(servers))]


def tags(record: str) -> dict[str, str]:
    """``v=DKIM1; p=…`` as names and values; spaces in values are only folds."""
    pairs = (part.partition("=") for part in record.split(";") if "=" in part)
    return {name.strip().lower(): value.strip() for name, _, value in pairs}


def _public_key(fields: dict[str, str]) -> PublicKey | None:
    try:
        raw = base64.b64decode("".join(fields["p"].split()), validate=True)
        if fields.get("k", "rsa").lower() == "ed25519":
            return Ed25519PublicKey.from_public_bytes(raw)
        key = serialization.load_der_public_key(raw)
    except (ValueError, binascii.Error, UnsupportedAlgorithm):
        return None
    return key if isinstance(key, RSAPublicKey) else None


def _bytes(key: PublicKey) -> bytes:
    if isinstance(key, Ed25519PublicKey):
        return key.public_bytes_raw()
    return key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def _record_of(key: PublicKey | None) -> str:
    if key is None:
        return "v=DKIM1; k=rsa; p=<your public key>"
    kind = "ed25519" if isinstance(key, Ed25519PublicKey) else "rsa"
    return f"v=DKIM1; k={kind}; p={base64.b64encode(_bytes(key)).decode()}"
