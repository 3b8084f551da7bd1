"""The API against its own OpenAPI document, with whatever a generator can think of."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis import checks

from paylink.openapi import document
from tests.api.world import Api, api_on

schema = schemathesis.openapi.from_dict(document()).exclude(path="/v1/events/stream", method="GET")
schema = schema.exclude(path_regex="^/(webhooks|metrics)")
EXAMPLES = 25


@pytest.fixture(scope="module")
def fuzzed(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    path = tmp_path_factory.mktemp("fuzz") / "paylink.db"
    path.write_bytes(sqlite_template.read_bytes())
    with api_on(f"sqlite:///{path}") as running:
        yield running


@schema.parametrize()
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
    derandomize=True,
    database=None,
)
def test_answers_are_as_documented(case: schemathesis.Case, fuzzed: Api) -> None:
    answer = case.call(base_url=fuzzed.url, headers={"Authorization": f"Bearer {fuzzed.shop.key}"})
    case.validate_response(
        answer,
        checks=[
            checks.not_a_server_error,
            checks.status_code_conformance,
            checks.content_type_conformance,
            checks.response_schema_conformance,
        ],
    )
