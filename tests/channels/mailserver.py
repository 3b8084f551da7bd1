"""Mail servers for the tests: aiosmtpd in process, one that follows a script to the letter, and a real OpenSMTPD."""

import asyncio
import os
import shutil
import signal
import socket
import ssl
import subprocess
import time
import warnings
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any, TypeVar

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

USER, PASSWORD = "paylink", "a password for mail"
T = TypeVar("T")


@dataclass(frozen=True)
class Certificates:
    """Of localhost, by an authority of its own. ``stranger``: another authority."""

    ca: Path
    cert: Path
    key: Path
    stranger: Path


def certificates(folder: Path) -> Certificates:
    found = Certificates(*(folder / f"{name}.pem" for name in ("ca", "cert", "key", "stranger")))
    ca_key, ca = _certified("test authority", None)
    key, cert = _certified("localhost", (ca_key, ca))
    found.ca.write_bytes(ca.public_bytes(serialization.Encoding.PEM))
    found.cert.write_bytes(cert.public_bytes(serialization.Encoding.PEM))
    found.key.write_text(pem_of(key))
    found.key.chmod(0o600)
    found.stranger.write_bytes(_certified("another authority", None)[1].public_bytes(serialization.Encoding.PEM))
    return found


def pem_of(key: Any) -> str:
    pem: bytes = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return pem.decode()


def _certified(name: str, by: Any) -> Any:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    names: list[x509.GeneralName] = [x509.DNSName("localhost"), x509.IPAddress(ip_address("127.0.0.1"))]
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(by[1].subject if by else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=by is None, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
    )
    return key, builder.sign(by[0] if by else key, hashes.SHA256())


@dataclass
class MailServer:
    """aiosmtpd. ``rcpt`` and ``data``: what is said to a recipient or a message, first to last; once that is used up,
    all is accepted. ``seen``: what was accepted."""

    port: int = 0
    rcpt: list[str] = field(default_factory=list)
    data: list[str] = field(default_factory=list)
    seen: list[Envelope] = field(default_factory=list)
    sessions: list[Session] = field(default_factory=list)
    connections: list[SMTP] = field(default_factory=list)

    async def handle_RCPT(  # noqa: N802
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        if self.rcpt:
            return self.rcpt.pop(0)
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 OK"

    async def handle_DATA(self, _server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        if self.data:
            return self.data.pop(0)
        self.seen.append(envelope)
        self.sessions.append(session)
        return "250 2.0.0 taken"

    def hang_up(self) -> None:
        for connection in self.connections:
            if connection.transport is not None:
                connection.transport.abort()


def _authenticated(_server: SMTP, _session: Session, _envelope: Envelope, _mechanism: str, data: Any) -> AuthResult:
    good = isinstance(data, LoginPassword) and (data.login, data.password) == (USER.encode(), PASSWORD.encode())
    return AuthResult(success=good, handled=False)


@asynccontextmanager
async def mail_server(
    certs: Certificates | None = None,
    *,
    implicit: bool = False,
    auth: bool = False,
    utf8: bool = True,
    host: str = "127.0.0.1",
) -> AsyncIterator[MailServer]:
    """With ``certs``: TLS after STARTTLS, which is insisted on, or from the start."""
    site = MailServer()
    context = None
    if certs is not None:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(certs.cert, certs.key)

    def connection() -> SMTP:
        with warnings.catch_warnings():
            # It knows no TLS from the start, and thinks that passwords are asked for in the clear.
            warnings.simplefilter("ignore")
            made = SMTP(
                site,
                hostname="mail.test",
                enable_SMTPUTF8=utf8,
                tls_context=None if implicit else context,
                require_starttls=context is not None and not implicit,
                authenticator=_authenticated if auth else None,
                auth_required=auth,
                auth_require_tls=not implicit,
            )
        site.connections.append(made)
        return made

    loop = asyncio.get_running_loop()
    server = await loop.create_server(connection, host, 0, ssl=context if implicit else None)
    site.port = server.sockets[0].getsockname()[1]
    try:
        yield site
    finally:
        server.close()
        site.hang_up()
        await server.wait_closed()
        # What was hung up on is told so in the next turns of the loop.
        for _ in range(3):
            await asyncio.sleep(0)


@dataclass
class Script:
    """A server without a mind of its own. ``said``: its answer by command, ``None`` to hang up instead. ``END`` is the
    final dot. With ``CONTENT`` it hangs up in the middle of a message."""

    port: int = 0
    said: dict[str, str | None] = field(default_factory=dict)
    heard: list[str] = field(default_factory=list)
    connections: int = 0
    left: asyncio.Event = field(default_factory=asyncio.Event)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            await self._talk(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        command = "GREETING"
        while (answer := self.said.get(command, _USUAL.get(command, "250 fine"))) is not None:
            writer.write(answer.encode() + b"\r\n")
            await writer.drain()
            if command == "QUIT":
                self.left.set()
                return
            if command == "DATA" and answer.startswith("354"):
                if "CONTENT" in self.said:
                    await reader.readline()
                    return
                await reader.readuntil(b"\r\n.\r\n")
                command = "END"
            else:
                line = await reader.readline()
                if not line:
                    return
                command = line.decode().split(maxsplit=1)[0].upper()
            self.heard.append(command)


_USUAL = {"GREETING": "220 mail.test", "DATA": "354 go on", "QUIT": "221 bye"}


@asynccontextmanager
async def scripted(**said: str | None) -> AsyncIterator[Script]:
    script = Script(said=dict(said))
    server = await asyncio.start_server(script.serve, "127.0.0.1", 0)
    script.port = server.sockets[0].getsockname()[1]
    try:
        yield script
    finally:
        server.close()
        await server.wait_closed()


CONFIG = """
table bouncers {{ "bounces@acme.example" = "nobody" }}
listen on 127.0.0.1 port {port} hostname mail.test
listen on 127.0.0.1 port {inner} tag INNER hostname inner.test
action "box" maildir "{box}"
action "back" mda "/bin/sh {folder}/pipe" virtual <bouncers>
action "away" relay host "smtp://127.0.0.1:{inner}"
match from any for domain "local.example" action "box"
match tag INNER from any for domain "away.example" action "box"
match from any for domain "away.example" action "away"
match from any for domain "acme.example" action "back"
"""


@dataclass(frozen=True)
class OpenSmtpd:
    """``nobody@local.example`` has a maildir at ``box``. What is for ``away.example`` is taken first and handed on to
    a server that knows the same users only. Mail to ``bounces@acme.example`` goes through the shell script ``pipe``."""

    port: int
    box: Path
    pipe: Path

    def wait_for_mail(self) -> bytes:
        (path,) = wait_until(lambda: list(self.box.glob("new/*")))
        content = path.read_bytes()
        path.unlink()
        return content


@contextmanager
def opensmtpd(folder: Path) -> Iterator[OpenSmtpd]:
    """In a mount namespace of its own: its queue and its control socket have fixed places, and are nobody else's.

    Without TLS: Debian's 6.8.0p2 cannot do it with OpenSSL 3 (OpenSMTPD issue 1171).
    """
    site = OpenSmtpd(free_port(), folder / "box", folder / "pipe")
    inner = free_port()
    site.box.mkdir()
    site.box.chmod(0o777)
    site.pipe.write_text("exit 75\n")
    config = folder / "smtpd.conf"
    config.write_text(CONFIG.format(port=site.port, inner=inner, box=site.box, folder=folder))
    places = "mount -t tmpfs none /var/spool && mkdir -m 711 /var/spool/smtpd && mount -t tmpfs none /run"
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            ["unshare", "-m", "--propagation", "private", "sh", "-c", f"{places} && exec smtpd -d -f {config}"],
            stdout=log,
            stderr=log,
            env={**os.environ, "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
            start_new_session=True,
        )
        try:
            wait_until(lambda: _answers(site.port) and _answers(inner))
            yield site
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=20)


def opensmtpd_missing() -> str | None:
    """Why it cannot be started here."""
    if not Path("/usr/sbin/smtpd").exists():
        return "OpenSMTPD is not installed: apt-get install opensmtpd"
    if os.getuid() != 0:
        return "OpenSMTPD must be started by root"
    if shutil.which("curl") is None:
        return "curl is not installed: apt-get install curl"
    allowed = subprocess.run(["unshare", "-m", "true"], capture_output=True, check=False).returncode == 0
    return None if allowed else "OpenSMTPD needs a mount namespace of its own, which this machine does not allow"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


def wait_until(ready: Callable[[], T], *, seconds: float = 20) -> T:
    end = time.monotonic() + seconds
    while not (found := ready()):
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.05)
    return found


def _answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
            return connection.recv(4) == b"220 "
    except OSError:
        return False
