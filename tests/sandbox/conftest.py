"""The fixtures of these tests."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from paylink.sandbox.app import create_app

from .harness import Box, Receiver, free_socket, served, settings_for


@pytest.fixture
def receiver() -> Iterator[tuple[Receiver, str]]:
    receiving = Receiver()
    with served(receiving.app, free_socket(), lifespan="off") as url:
        yield receiving, url


@pytest.fixture
def box(tmp_path: Path, receiver: tuple[Receiver, str]) -> Iterator[Box]:
    listening = free_socket()
    url = f"http://127.0.0.1:{listening.getsockname()[1]}"
    settings = settings_for(tmp_path, sandbox=url, console=receiver[1])
    with served(create_app(settings), listening), contextlib.closing(Box(settings, url, receiver[0])) as box:
        yield box
