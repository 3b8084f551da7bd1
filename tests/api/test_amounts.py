"""Which amounts a link can ask for: in the currency's own decimals, and what the provider could charge."""

from typing import Any

import httpx
import pytest

from paylink.kit.money import MAX_AMOUNT, currencies
from paylink.psp.stripe_currencies import charging
from tests.api.world import Api, problem


def refused(http: httpx.Client, **body: Any) -> dict[str, str]:
    """The one field that is wrong."""
    answer = problem(http.post("/v1/payment_links", json={"amount": 4999, "currency": "GBP"} | body), 422)
    (error,) = answer["errors"]
    return {error["field"]: error["code"]}


def test_the_least_that_may_be_paid_at_once_is_kept_and_shown(api: Api, http: httpx.Client) -> None:
    for minimum in (30, 1000, 4999):
        link = api.create(http, minimum_amount=minimum)
        assert link["minimum_amount"] == minimum
        assert http.get(f"/v1/payment_links/{link['id']}").json()["minimum_amount"] == minimum
        (created,) = http.get(f"/v1/payment_links/{link['id']}/events").json()["data"]
        assert created["data"]["minimum_amount"] == minimum
    assert api.create(http)["minimum_amount"] is None
    assert api.create(http, minimum_amount=None)["minimum_amount"] is None


@pytest.mark.parametrize("minimum", [0, -1, "10", 10.5, True, MAX_AMOUNT + 1])
def test_a_minimum_is_a_positive_whole_number(http: httpx.Client, minimum: object) -> None:
    assert list(refused(http, minimum_amount=minimum)) == ["minimum_amount"]


@pytest.mark.parametrize(
    ("body", "field", "code"),
    [
        ({"minimum_amount": 5000}, "minimum_amount", "minimum_amount_too_large"),
        ({"minimum_amount": 29}, "minimum_amount", "amount_too_small"),
        ({"amount": 29}, "amount", "amount_too_small"),
        ({"amount": 49, "currency": "JPY"}, "amount", "amount_too_small"),
        ({"amount": 12_345, "currency": "KWD"}, "amount", "amount_not_chargeable"),
        ({"amount": 12_340, "currency": "KWD", "minimum_amount": 1001}, "minimum_amount", "amount_not_chargeable"),
        ({"amount": 150, "currency": "MGA"}, "amount", "amount_not_chargeable"),
        ({"amount": 1_000_000, "currency": "ISK"}, "amount", "amount_too_large"),
        ({"currency": "IQD"}, "currency", "currency_not_chargeable"),
        ({"currency": "KPW"}, "currency", "currency_not_chargeable"),
        ({"currency": "XAU"}, "currency", "currency_unknown"),
    ],
)
def test_what_could_never_be_paid_is_refused_at_once(
    http: httpx.Client, body: dict[str, Any], field: str, code: str
) -> None:
    assert refused(http, **body) == {field: code}


def test_every_currency_is_taken_or_clearly_refused(api: Api, http: httpx.Client) -> None:
    """100.00, 100 or 100.000 of everything that people pay in."""
    for code, exponent in currencies().items():
        body = {"amount": 1000 * 10**exponent, "currency": code}
        can = charging(code)
        if can is None:
            assert refused(http, **body) == {"currency": "currency_not_chargeable"}
        else:
            assert can.takes(body["amount"]), code
            made = api.create(http, **body)
            assert (made["amount"], made["currency"]) == (body["amount"], code)
