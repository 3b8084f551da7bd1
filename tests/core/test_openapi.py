"""The API's document, which the console's client is generated from."""

import json
from pathlib import Path

from paylink.openapi import document

KEPT = Path(__file__).parents[2] / "agent_ui" / "openapi.json"


def test_the_document_in_the_repository_is_the_one_the_application_gives() -> None:
    assert json.loads(KEPT.read_text()) == document(), "run `paylink openapi agent_ui/openapi.json`"
