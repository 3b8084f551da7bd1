"""Calls to providers: what they may make us wait, and what is told of a connection that fails."""

import asyncio
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from paylink.channels.http import LARGEST_ANSWER, LONGEST_WAIT_S, Answer, Caller, NoAnswer, Unreachable
from tests.channels.listener import Given, Request, serving


@pytest.mark.parametrize(
    ("given", "least", "most"),
    [
        ("7", 7, 7),
        ("0", 0, 0),
        (" 12 ", 12, 12),
        ("9" * 40, LONGEST_WAIT_S, LONGEST_WAIT_S),
        ("Fri, 31 Dec 9999 23:59:59 GMT", LONGEST_WAIT_S, LONGEST_WAIT_S),
    ],
)
def test_how_long_to_wait(given: str, least: float, most: float) -> None:
    assert least <= (Answer(429, {"retry-after": given}, "").retry_after_s or 0) <= most


@pytest.mark.parametrize(("ahead", "least", "most"), [(600, 590, 600), (-86400, 0, 0)])
def test_how_long_to_wait_until_a_time(ahead: float, least: float, most: float) -> None:
    given = format_datetime(datetime.now(UTC) + timedelta(seconds=ahead), usegmt=True)
    assert least <= (Answer(429, {"retry-after": given}, "").retry_after_s or 0) <= most


@pytest.mark.parametrize("given", ["", "soon", "-5", "١٢", "1.5", "Mon, 99 Foo"])
def test_what_names_no_time(given: str) -> None:
    assert Answer(429, {"retry-after": given}, "").retry_after_s is None


@pytest.mark.parametrize(
    ("text", "content"), [('{"a": 1}', {"a": 1}), ("[1]", {}), ("", {}), ("{", {}), ("[" * 60_000, {}), ("\ufffd", {})]
)
def test_what_an_answer_says(text: str, content: dict[str, int]) -> None:
    assert Answer(200, {}, text).content == content


async def test_an_answer_of_just_the_largest_size_is_read() -> None:
    with serving(lambda _request: Given(body=b"x" * LARGEST_ANSWER)) as url:
        caller = Caller("It", base_url=url)
        assert len((await caller.get("/")).text) == LARGEST_ANSWER
        await caller.close()


async def test_a_server_that_takes_too_long_is_left() -> None:
    over = asyncio.Event()
    loop = asyncio.get_running_loop()

    def slow(_request: Request) -> Given:
        asyncio.run_coroutine_threadsafe(over.wait(), loop).result()
        return Given()

    with serving(slow) as url:
        caller = Caller("It", base_url=url, total_s=0.2, lost_pause_s=9)
        with pytest.raises(NoAnswer) as caught:
            await caller.post("/secret-path", data={"text": "secret-text"})
        over.set()
        await caller.close()
    assert caught.value.retry_after_s == 9
    assert "secret" not in repr(caught.value)


@pytest.mark.parametrize("url", ["http://nowhere.invalid", "http://127.0.0.1:9", "gopher://127.0.0.1"])
async def test_nothing_was_sent_where_nobody_is(url: str) -> None:
    caller = Caller("It", lost_pause_s=9)
    with pytest.raises(Unreachable) as caught:
        await caller.get(f"{url}/secret-path")
    await caller.close()
    assert caught.value.retry_after_s is None
    assert "secret" not in repr(caught.value)
