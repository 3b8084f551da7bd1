"""What may never stand in a log does not, however deep a caller hides it."""

import asyncio
import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from paylink.kit import logs

CARD = "4012888888881881"
TOKEN = "v1lkJ883kvs_QNdvQGr5cg"
SECRETS = {
    "a link": f"http://c.example/p/{TOKEN}",
    "an API key": "plk_test_0123456789abcdefghijABCDEFGHIJ012345",
    "a provider's key": "sk_live_51abcdef",
    "a webhook secret": "whsec_abcdef012345",
    "a bearer": "Bearer some.opaque.thing",
    "a client secret": "pi_3abc_secret_xyz789",
    "a card": f"card {CARD} thanks",
    "a spaced card": "4012 8888 8888 1881",
    "a card in full width": "".join(chr(ord(digit) + 0xFEE0) for digit in CARD),
    "a card with its code": "4012-8888-8888-1881 12/30 123",
}
PARTS = (
    *(TOKEN, "0123456789abc", "51abcdef", "abcdef012345", "some.opaque", "xyz789", "8888"),
    *("".join(chr(ord(digit) + 0xFEE0) for digit in CARD), "hunter2"),
)


@pytest.mark.parametrize("secret", SECRETS.values(), ids=list(SECRETS))
def test_a_secret_is_redacted_wherever_it_stands(secret: str) -> None:
    for value in (secret, [secret], {"deep": {"er": (secret,)}}, secret.encode(), ValueError(secret), {secret}):
        shown = json.dumps(logs.redact_value(value), ensure_ascii=False)
        assert logs.REDACTED in shown
        assert not [part for part in PARTS if part in shown]


def test_a_card_number_as_a_number_is_redacted() -> None:
    assert logs.redact_value(int(CARD)) == logs.REDACTED
    assert logs.redact_value({"n": [int(CARD)]}) == {"n": [logs.REDACTED]}


@pytest.mark.parametrize("value", [None, True, 0, 4999, 1.5, "plain", [1, "x"], {"a": None}, 1732213234561])
def test_what_is_harmless_stays_as_it_is(value: Any) -> None:
    assert logs.redact_value(value) == value


@given(st.text(max_size=80), st.text(max_size=80))
def test_no_text_hides_a_card(before: str, after: str) -> None:
    assert CARD not in logs.redact(f"{before} x{CARD}x {after}")


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    root, file = logging.getLogger(), io.StringIO()
    kept, level = root.handlers[:], root.level
    monkeypatch.setattr("sys.stderr", file)
    logs.configure(level="DEBUG", json=True)
    structlog.configure(cache_logger_on_first_use=False)
    yield file
    root.handlers[:] = kept
    root.setLevel(level)
    structlog.reset_defaults()


def test_lines_are_json_with_time_level_and_name_and_no_secret(lines: io.StringIO) -> None:
    logger = structlog.get_logger("paylink.test")
    for name, secret in SECRETS.items():
        logger.info(secret, what=name, value=secret, nested={"list": [secret]})
        logging.getLogger("library").warning("says %s", secret)
        try:
            raise ValueError(secret)
        except ValueError:
            logger.exception("failed")
            logging.getLogger("library").exception("failed")
    logger.info("named", password="hunter2", headers={"Authorization": "hunter2", "cookie": "hunter2"}, token="hunter2")
    written = [json.loads(line) for line in lines.getvalue().splitlines()]
    assert len(written) == 4 * len(SECRETS) + 1
    for line in written:
        assert {"event", "level", "logger", "timestamp"} <= set(line)
        shown = json.dumps(line, ensure_ascii=False)
        assert not [part for part in PARTS if part in shown], shown


async def test_lines_of_one_turn_of_the_loop_are_one_write_and_none_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    file, writes = io.StringIO(), 0

    def write(text: str) -> int:
        nonlocal writes
        writes += 1
        return io.StringIO.write(file, text)

    monkeypatch.setattr(file, "write", write)
    lines = logs.Lines(file)
    await asyncio.to_thread(lines.write, "from a thread")
    for number in range(100):
        lines.write(f"line {number}")
    assert file.getvalue() == "from a thread\n"
    await asyncio.sleep(0)
    assert file.getvalue().splitlines() == ["from a thread", *(f"line {number}" for number in range(100))]
    assert writes == 2
    lines.write("at the end")
    lines.flush()
    assert file.getvalue().endswith("\nat the end\n")
