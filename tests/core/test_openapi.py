"""The API's document, which the console's client is generated from."""

import json
from pathlib import Path
from typing import Any

import pytest

from paylink.openapi import document

KEPT = Path(__file__).parents[2] / "agent_ui" / "openapi.json"
CALLBACKS = [
    "/webhooks/psp/{provider}",
    "/webhooks/messaging/{provider}",
    "/webhooks/messaging/{provider}/{account_id}",
]


@pytest.fixture(scope="module")
def api() -> dict[str, Any]:
    return document()


def test_the_document_in_the_repository_is_the_one_the_application_gives(api: dict[str, Any]) -> None:
    assert json.loads(KEPT.read_text()) == api, "run `paylink openapi agent_ui/openapi.json`"


def test_no_call_documents_the_frameworks_own_errors(api: dict[str, Any]) -> None:
    assert "HTTPValidationError" not in json.dumps(api)


@pytest.mark.parametrize("path", CALLBACKS)
def test_a_callback_documents_what_it_answers(api: dict[str, Any], path: str) -> None:
    answers = dict(api["paths"][path]["post"]["responses"])
    assert "content" not in answers.pop("200")
    assert answers.keys() == {"400", "404", "413", "4XX", "5XX"}
    for answer in answers.values():
        assert answer["content"] == {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    assert len({answer["description"] for answer in answers.values()}) == len(answers)


def test_the_stream_documents_what_its_events_hold(api: dict[str, Any]) -> None:
    answer = api["paths"]["/v1/events/stream"]["get"]["responses"]["200"]
    assert answer["content"].keys() == {"text/event-stream"}
    form = api["components"]["schemas"]["EventOut"]["properties"]
    assert form.keys() == {"id", "type", "seq", "payment_link", "occurred_at", "origin", "data"}
    assert all(f"`{name}`" in answer["description"] for name in form)
    # What is shown as an example is an event of that form.
    example = answer["content"]["text/event-stream"]["example"]
    (data,) = [line for line in example.splitlines() if line.startswith("data: ")]
    assert json.loads(data.removeprefix("data: ")).keys() == form.keys()
