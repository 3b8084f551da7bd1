"""A card number never arrives: refused in every field of every call, never echoed, never stored, never logged."""

import logging
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from tests.api.world import PASSWORD, Api, codes, problem, sign_in
from tests.services import wait_until

CARD = "4012888888881881"
GOOD = {"amount": 4999, "currency": "GBP"}
FORMS = {
    "plain": CARD,
    "spaced": "4012 8888 8888 1881",
    "dashed": "4012-8888-8888-1881",
    "dotted": "4012.8888.8888.1881",
    "in lines": "4012\n8888\n8888\n1881",
    "full width": "".join(chr(ord(digit) + 0xFEE0) for digit in CARD),
    "arabic": "".join(chr(ord(digit) + 0x0630) for digit in CARD),
    "unbroken spaces": "4012\u00a08888\u202f8888\u20071881",
    "zero width": "4012\u200b8888\u200b8888\u200b1881",
    "in words": f"card: {CARD}, thanks",
    "after a count": "2 4012 8888 8888 1881",
    "with expiry and code": "4012 8888 8888 1881 12/30 123",
    "american express": "3782 822463 10005",
}
PARTS = (CARD, "8888 8888", "8888-8888", "8888.8888", "88888888", "822463", FORMS["full width"], FORMS["arabic"])


@pytest.fixture(autouse=True)
def leaves_no_trace(api: Api, caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    caplog.set_level(logging.DEBUG)
    before = api.counts()
    yield
    after = api.counts()
    # Of a sign-in the audit says who and when.
    kept = {"agent_sessions", "audit_entries", "audit_heads"}
    assert {name: n for name, n in after.items() if name not in kept} == {
        name: n for name, n in before.items() if name not in kept
    }
    raw = api.stored()
    for part in PARTS:
        assert part.encode() not in raw
        assert part not in caplog.text + api.log.getvalue()
    # Its line is written once the answer is out.
    wait_until(lambda: '"event": "request"' in api.log.getvalue(), what="a line in the log")


def refused(answer: httpx.Response, *, status: int = 422, code: str = "card_number_not_allowed") -> None:
    body = problem(answer, status)
    assert code in codes(body), body
    told = answer.content.decode("unicode_escape") + str(answer.headers)
    assert not [part for part in PARTS if part in told]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    "field", ["description", "reference", "customer.name", "customer.external_id", "metadata.note"]
)
def test_a_card_number_in_any_form_is_refused(http: httpx.Client, field: str, form: str) -> None:
    refused(http.post("/v1/payment_links", json=GOOD | placed(field, FORMS[form])))


def placed(field: str, value: Any) -> dict[str, Any]:
    head, _, rest = field.partition(".")
    return {head: placed(rest, value) if rest else value}


def test_a_card_number_in_an_address_is_refused(http: httpx.Client) -> None:
    refused(http.post("/v1/payment_links", json=GOOD | {"customer": {"email": f"{CARD}@example.com"}}))
    refused(http.post("/v1/payment_links", json=GOOD | {"customer": {"email": f"ann+{CARD}@example.com"}}))
    refused(http.post("/v1/payment_links", json=GOOD | {"deliver": [{"channel": "email", "to": f"{CARD}@a.com"}]}))
    refused(http.post("/v1/payment_links", json=GOOD | {"deliver": [{"channel": "chat", "to": CARD}]}))
    refused(http.post("/v1/payment_links", json=GOOD | {"deliver": [{"channel": "qr", "to": CARD}]}))
    for phone in (CARD, f"+{CARD}", FORMS["spaced"]):
        for body in ({"customer": {"phone": phone}}, {"deliver": [{"channel": "sms", "to": phone}]}):
            answer = http.post("/v1/payment_links", json=GOOD | body)
            refused(answer, code="validation_failed")


@pytest.mark.parametrize("name", [CARD, FORMS["dashed"], f"[{CARD}]"])
def test_a_card_number_as_a_name_is_refused_and_not_repeated(http: httpx.Client, name: str) -> None:
    refused(http.post("/v1/payment_links", json=GOOD | {"metadata": {name: "x"}}))
    refused(http.post("/v1/payment_links", json=GOOD | {name: 1}), code="extra_forbidden")
    refused(http.post("/v1/payment_links", json=GOOD | {"customer": {name: 1}}), code="extra_forbidden")


def test_a_card_number_in_a_wrong_type_is_not_repeated(http: httpx.Client) -> None:
    for body in (
        GOOD | {"amount": int(CARD)},
        GOOD | {"amount": CARD},
        GOOD | {"currency": CARD},
        GOOD | {"expires_in": int(CARD)},
        GOOD | {"expires_at": CARD},
        GOOD | {"description": int(CARD)},
        GOOD | {"customer": CARD},
        GOOD | {"customer": {"locale": CARD}},
        GOOD | {"metadata": {"n": int(CARD)}},
        GOOD | {"deliver": [{"channel": CARD}]},
        [CARD],
        CARD,
    ):
        refused(http.post("/v1/payment_links", json=body), code="validation_failed")
    answer = http.post("/v1/payment_links", content=f"{CARD} is not JSON", headers={"Content-Type": "application/json"})
    refused(answer, status=400, code="invalid_json")


@pytest.mark.parametrize("form", ["plain", "spaced", "full width"])
def test_a_card_number_cannot_be_searched_for(http: httpx.Client, form: str) -> None:
    refused(http.get("/v1/payment_links", params={"q": FORMS[form]}))
    refused(http.get("/v1/payment_links", params={"reference": FORMS[form]}))


def test_a_card_number_in_an_address_line_is_not_repeated(http: httpx.Client) -> None:
    for path in ("/v1/payment_links/{}", "/v1/{}", "/v1/payment_links/{}/cancel", "/v1/payments/{}/refunds"):
        method = "POST" if path.count("/") == 4 else "GET"
        refused(http.request(method, path.format(quote(FORMS["spaced"]))), status=404, code="not_found")
    refused(http.get("/v1/payment_links", params={"limit": CARD}), code="validation_failed")
    refused(http.get("/v1/payment_links", params={"starting_after": CARD}), status=404, code="not_found")
    refused(http.get("/v1/events/stream", params={"last_event_id": f"{CARD}x"}), status=400, code="bad_last_event_id")


@pytest.mark.parametrize("name", ["X-Request-Id", "Request-Id", "Traceparent", "User-Agent", "Referer"])
def test_a_card_number_in_a_header_is_not_repeated(http: httpx.Client, name: str) -> None:
    for value in (CARD, FORMS["dashed"], f"a-{CARD}"):
        answer = http.get("/v1/me", headers={name: value})
        assert answer.status_code == 200
        assert not [part for part in PARTS if part in str(answer.headers) + answer.text]


def test_a_card_number_is_refused_by_every_other_call(api: Api, http: httpx.Client) -> None:
    preview = {"channel": "sms", "amount": 1, "currency": "GBP"}
    for field in ("description", "reference", "name", "words"):
        refused(http.post("/v1/deliveries/preview", json=preview | {field: CARD}))
    for action in ("approve", "decline", "refunds"):
        refused(http.post(f"/v1/payments/pay_x/{action}", json={"reason": CARD}))
    answer = http.post("/v1/addresses/check", json={"channel": "email", "to": f"{CARD}@example.com"})
    assert (answer.status_code, answer.json()["code"]) == (200, "card_number_not_allowed")
    assert CARD not in answer.text
    with sign_in(api) as browser:
        refused(browser.post("/v1/api_keys", json={"name": f"Key {CARD}"}))


def test_a_card_number_at_the_sign_in_is_not_kept(api: Api) -> None:
    with api.client("") as http:
        for body in (
            {"email": CARD, "password": PASSWORD},
            {"email": f"{CARD}@example.com", "password": PASSWORD},
            {"email": api.shop.email, "password": CARD},
        ):
            refused(http.post("/v1/sessions", json=body), status=401, code="invalid_credentials")
        refused(http.post("/v1/sessions", json={"email": CARD}), code="missing")
        answer = http.get("/v1/me", headers={"Authorization": f"Bearer {CARD}"})
        refused(answer, status=401, code="invalid_api_key")
