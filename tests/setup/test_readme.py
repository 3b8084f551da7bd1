"""The README speaks of what there is: commands, make's targets, settings, providers, files."""

import re
from pathlib import Path

import pytest
from typer.main import get_command

from paylink.channels.providers import PROVIDERS
from paylink.cli import app
from paylink.config import Settings

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
CODE = "\n".join(found[0] for found in re.finditer(r"^ *```sh$.*?```|`[^`\n]+`", README, re.DOTALL | re.MULTILINE))


def test_each_command_exists() -> None:
    known = get_command(app).commands  # type: ignore[attr-defined]
    named = set(re.findall(r"(?:`|^ *)(?:\S+/)?paylink ([a-z]+) ?([a-z]*)", CODE, re.MULTILINE))
    assert ("merchant", "create") in named
    for name, second in named:
        assert name in known, name
        if hasattr(known[name], "commands") and second:
            assert second in known[name].commands, second


def test_going_live_is_told_from_the_database_to_the_first_sign_in() -> None:
    story = README.partition("## Run it for real")[2].partition("\n## ")[0]
    steps = ["make setup", ".env", "paylink migrate", "paylink doctor", "paylink merchant create", "paylink serve"]
    places = [story.find(step) for step in steps]
    assert -1 not in places
    assert places == sorted(places)


def test_make_knows_each_target() -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"`make ([a-z]+)`|^make ([a-z]+)", README, re.MULTILINE))
    assert targets
    for first, second in targets:
        assert re.search(rf"^{first or second}:", makefile, re.MULTILINE), first or second


def test_each_setting_exists() -> None:
    assert set(re.findall(r"\bPAYLINK_([A-Z_]+)", README)) <= {name.upper() for name in Settings.model_fields}


@pytest.mark.parametrize("provider", PROVIDERS.values(), ids=PROVIDERS)
def test_each_provider_of_messages_is_named(provider: object) -> None:
    assert provider.title.removesuffix(" Cloud API").lower() in README.lower()  # type: ignore[attr-defined]


@pytest.mark.parametrize("document", ["README.md", "docs/architecture.md", "docs/channels.md"])
def test_each_file_it_leads_to_is_there(document: str) -> None:
    place = ROOT / document
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", place.read_text()):
        assert (place.parent / target).exists(), target
