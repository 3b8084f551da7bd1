"""A real Kannel from Debian's packages: bearerbox, smsbox, and two centres to send by.

``FAKE`` is Kannel's own fakesmsc, which delivers everything; ``SMPP`` is ``smsc.mjs``, where the last digit of a number
says what becomes of a message. Ports are the system's choice, everything is in one folder, and all of it ends with the
test's process.
"""

import json
import queue
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.services import free_port, wait_until

ROOT = Path(__file__).parents[2]
FAKESMSC = Path("/usr/lib/kannel/test/fakesmsc")
USER, PASSWORD = "paylink", "kannel-password-canary"
SERVICE_NUMBER = "12345"
# Ours: an address on the list is refused by Kannel itself.
BLACKLISTED = "+15559990001"

CONFIG = """
group = core
admin-port = {admin}
admin-interface = 127.0.0.1
admin-password = admin
smsbox-port = {boxes}
box-allow-ip = 127.0.0.1
box-deny-ip = *.*.*.*
log-file = {folder}/bearerbox.log
log-level = 1
dlr-storage = internal
black-list-receiver = {blacklist}

group = smsc
smsc = fake
smsc-id = FAKE
allowed-smsc-id = FAKE
port = {fake}
connect-allow-ip = 127.0.0.1

group = smsc
smsc = smpp
smsc-id = SMPP
allowed-smsc-id = SMPP
host = 127.0.0.1
port = {smpp}
transceiver-mode = true
smsc-username = paylink
smsc-password = secret
system-type = ""
msg-id-type = 0x03
reconnect-delay = 1
enquire-link-interval = 30
source-addr-autodetect = true

group = smsbox
bearerbox-host = 127.0.0.1
bearerbox-port = {boxes}
sendsms-port = {sendsms}
sendsms-interface = 127.0.0.1
sendsms-chars = "0123456789 +-"
log-file = {folder}/smsbox.log
log-level = 1
http-request-retry = 3
http-queue-delay = 1

group = sendsms-user
username = {user}
password = {password}
user-allow-ip = 127.0.0.1
max-messages = 10
concatenation = true

group = sms-service
keyword = default
catch-all = true
max-messages = 0
get-url = "{callback}?from=%p&to=%P&text=%a&charset=%C&time=%T&id=%I&mac={reply_key}"
"""


class Kannel:
    """``sendsms``: the address of its interface."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.folder = folder
        self._stack = stack
        names = ("admin", "boxes", "fake", "smpp", "sendsms")
        self.ports = {name: free_port() for name in names}
        self.sendsms = f"http://127.0.0.1:{self.ports['sendsms']}/cgi-bin/sendsms"
        self.submitted: queue.Queue[dict[str, Any]] = queue.Queue()
        self._centre: subprocess.Popen[bytes] | None = None
        self._smsc: subprocess.Popen[bytes] | None = None

    def start(self, *, callback: str, reply_key: str, blacklist: str) -> None:
        config = self.folder / "kannel.conf"
        config.write_text(
            CONFIG.format(
                folder=self.folder,
                callback=callback,
                reply_key=reply_key,
                blacklist=blacklist,
                user=USER,
                password=PASSWORD,
                **self.ports,
            )
        )
        self._start_smsc()
        bearerbox = self._run("/usr/sbin/bearerbox", str(config))
        wait_until(lambda: open_port(self.ports["boxes"]), what="bearerbox", process=bearerbox)
        smsbox = self._run("/usr/sbin/smsbox", str(config))
        wait_until(lambda: open_port(self.ports["sendsms"]), what="smsbox", process=smsbox)
        wait_until(lambda: "SMPP" in self.online(), what="the SMPP centre", process=bearerbox)

    def say(self, sender: str, text: str, *, to: str = SERVICE_NUMBER) -> None:
        """A person writes, by way of the SMPP centre."""
        assert self._smsc is not None
        assert self._smsc.stdin is not None
        self._smsc.stdin.write(json.dumps({"from": sender, "to": to, "text": text}).encode() + b"\n")
        self._smsc.stdin.flush()

    def start_centre(self, says: str = f"+15551230000 {SERVICE_NUMBER} text hello") -> None:
        """fakesmsc connects, hands over one person's message at once, and stays."""
        options = ["-H", "127.0.0.1", "-r", str(self.ports["fake"]), "-i", "3600", "-m", "2"]
        self._centre = self._run(str(FAKESMSC), *options, says)
        wait_until(lambda: "FAKE" in self.online(), what="fakesmsc", process=self._centre)

    def stop_centre(self) -> None:
        if self._centre is not None:
            self._centre.terminate()
            self._centre.wait(10)
            wait_until(lambda: "FAKE" not in self.online(), what="the end of fakesmsc", process=None)

    def online(self) -> set[str]:
        """The centres that can be sent by, as the status page tells."""
        try:
            page = httpx.get(
                f"http://127.0.0.1:{self.ports['admin']}/status.txt", params={"password": "admin"}, trust_env=False
            ).text
        except httpx.HTTPError:
            return set()
        lines = [line.split() for line in page.splitlines() if "(online" in line]
        return {words[0].split("[")[0] for words in lines if words}

    def logs(self) -> str:
        return "".join(path.read_text(errors="replace") for path in self.folder.glob("*.log"))

    def _start_smsc(self) -> None:
        self._smsc = self._run(node(), str(Path(__file__).parent / "smsc.mjs"), str(self.ports["smpp"]), pipes=True)
        reader = threading.Thread(target=self._read, args=(self._smsc,), daemon=True)
        reader.start()
        assert self.submitted.get(timeout=20) == {"listening": True}

    def _read(self, process: "subprocess.Popen[bytes]") -> None:
        assert process.stdout is not None
        for line in process.stdout:
            found = json.loads(line)
            if "bound" not in found:
                self.submitted.put(found)

    def _run(self, *command: str, pipes: bool = False) -> "subprocess.Popen[bytes]":
        output = self._stack.enter_context((self.folder / f"{Path(command[0]).name}.out").open("ab"))
        streams: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": output}
        if pipes:
            streams = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        process = subprocess.Popen(command, stderr=output, cwd=self.folder, **streams)
        self._stack.callback(end, process)
        return process


def end(process: "subprocess.Popen[bytes]") -> None:
    process.kill()
    process.wait(10)
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            stream.close()


def open_port(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def node() -> str:
    own = ROOT / ".venv/node/bin/node"
    return str(own) if own.exists() else shutil.which("node") or ""


def missing() -> str | None:
    """What this machine lacks to run it."""
    if shutil.which("bearerbox") is None or not FAKESMSC.exists():
        return "Kannel is not installed: apt-get install kannel kannel-extras"
    if not node() or not (ROOT / "agent_ui/node_modules/smpp").exists():
        return "the SMPP server is not installed: make setup"
    return None


@contextmanager
def kannel(folder: Path, *, callback: str, reply_key: str, blacklist: str) -> Iterator[Kannel]:
    if (why := missing()) is not None:
        pytest.skip(why)
    with ExitStack() as stack:
        found = Kannel(folder, stack)
        found.start(callback=callback, reply_key=reply_key, blacklist=blacklist)
        yield found
