"""What is not right is refused with a stable code, names the field, and leaves nothing half done."""

import json
import socket
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from tests.api.world import Api, codes, problem

GOOD = {"amount": 4999, "currency": "GBP"}


@pytest.fixture(autouse=True)
def nothing_half_done(api: Api) -> Iterator[None]:
    before = api.counts()
    yield
    assert api.counts() == before


def refused(http: httpx.Client, field: str, code: str, **changes: Any) -> None:
    body = problem(http.post("/v1/payment_links", json=GOOD | changes), 422, "validation_failed")
    assert (field, code) in {(error["field"], error["code"]) for error in body["errors"]}, body


@pytest.mark.parametrize(
    ("amount", "code"),
    [
        *((0, "greater_than"), (-1, "greater_than"), (100_000_000, "less_than_equal"), (10**30, "less_than_equal")),
        *((49.99, "int_type"), (4999.0, "int_type"), ("4999", "int_type"), (True, "int_type"), (None, "int_type")),
        *(([1], "int_type"), ({}, "int_type")),
    ],
)
def test_an_amount_is_a_whole_number_of_minor_units(http: httpx.Client, amount: Any, code: str) -> None:
    refused(http, "amount", code, amount=amount)


@pytest.mark.parametrize(
    ("currency", "code"),
    [
        *(("XXX", "currency_unknown"), ("XAU", "currency_unknown"), ("xts", "currency_unknown")),
        *(("ZZZ", "currency_unknown"), ("G P", "currency_unknown"), ("£££", "currency_unknown")),
        *(("GB", "string_too_short"), ("GBPX", "string_too_long"), ("", "string_too_short"), (826, "string_type")),
    ],
)
def test_a_currency_is_one_that_people_pay_in(http: httpx.Client, currency: Any, code: str) -> None:
    refused(http, "currency", code, currency=currency)


@pytest.mark.parametrize("missing", ["amount", "currency"])
def test_amount_and_currency_are_required(http: httpx.Client, missing: str) -> None:
    body = {name: value for name, value in GOOD.items() if name != missing}
    problem(http.post("/v1/payment_links", json=body), 422, "missing")


@pytest.mark.parametrize(
    ("phone", "code"),
    [
        *(("07700900123", "phone_country_missing"), ("00447700900123", "phone_country_missing")),
        *(("+44770", "phone_length"), ("+4477009001234567", "phone_length"), ("+447000000000000", "phone_length")),
        *(("+999123456789", "phone_invalid"), ("+", "phone_invalid"), ("+phone", "phone_invalid")),
        *(("+44" + "7" * 60, "string_too_long"), (447700900123, "string_type")),
    ],
)
def test_a_phone_number_is_international_and_in_use(http: httpx.Client, phone: Any, code: str) -> None:
    refused(http, "customer.phone", code, customer={"phone": phone})


@pytest.mark.parametrize("to", ["+442079460000", "+448001111111"])
def test_a_line_without_texts_gets_no_text(http: httpx.Client, to: str) -> None:
    refused(http, "deliver.0.to", "phone_not_mobile", deliver=[{"channel": "sms", "to": to}])


@pytest.mark.parametrize("email", ["", "ann", "ann@", "@example.com", "a b@example.com", "ann@example", "a@b@c.com"])
def test_an_email_address_looks_like_one(http: httpx.Client, email: str) -> None:
    refused(http, "customer.email", "email_invalid", customer={"email": email})


@pytest.mark.parametrize("locale", ["xx", "english", "en-GB-oed-nonsense", "€"])
def test_a_language_is_a_known_one(http: httpx.Client, locale: str) -> None:
    refused(http, "customer.locale", "locale_unknown", customer={"locale": locale})


def ahead(**time: float) -> str:
    return (datetime.now(UTC) + timedelta(**time)).isoformat()


def test_an_end_lies_ahead_and_not_too_far(http: httpx.Client) -> None:
    refused(http, "expires_at", "expires_at_past", expires_at=ahead(seconds=-1))
    refused(http, "expires_at", "expires_at_past", expires_at="0001-01-01T00:00:00+14:00")
    refused(http, "expires_at", "expires_at_far", expires_at=ahead(days=71))
    refused(http, "expires_at", "expires_at_far", expires_at="9999-12-31T23:59:59-12:00")
    refused(http, "expires_at", "two_ends", expires_at=ahead(days=1), expires_in=60)
    refused(http, "expires_at", "timezone_aware", expires_at="2099-01-01T00:00:00")
    refused(http, "expires_at", "not_rfc3339", expires_at="tomorrow")
    for loose in (4_102_444_800, "4102444800", "2099-01-01 00:00:00Z", "2099-01-01T00:00Z", "2099-01-01"):
        refused(http, "expires_at", "not_rfc3339", expires_at=loose)
    for wrong in (0, -1, 70 * 86_400 + 1, 1.5, "60", True):
        assert problem(http.post("/v1/payment_links", json=GOOD | {"expires_in": wrong}), 422)


def test_a_delivery_names_a_channel_and_where_to(http: httpx.Client) -> None:
    refused(http, "deliver.0.to", "address_missing", deliver=[{"channel": "sms"}])
    refused(http, "deliver.1.to", "address_missing", deliver=[{"channel": "qr"}, {"channel": "email"}])
    refused(http, "deliver.0.to", "email_invalid", deliver=[{"channel": "email", "to": "+447700900123"}])
    refused(http, "deliver.0.to", "phone_country_missing", deliver=[{"channel": "sms", "to": "ann@example.com"}])
    refused(http, "deliver.0.channel", "enum", deliver=[{"channel": "pigeon"}])
    refused(http, "deliver.0.channel", "enum", deliver=[{"channel": "direct"}])
    refused(http, "deliver.0.channel", "missing", deliver=[{}])
    refused(http, "deliver", "too_long", deliver=[{"channel": "qr"}] * 11)


def test_metadata_has_its_limits(http: httpx.Client) -> None:
    refused(http, "metadata", "too_long", metadata={str(n): "" for n in range(51)})
    refused(http, "metadata.note", "string_too_long", metadata={"note": "x" * 501})
    refused(http, "metadata.n", "string_type", metadata={"n": 1})
    refused(http, "metadata.n", "string_type", metadata={"n": {"deep": "er"}})
    for name in ("", "x" * 41):
        assert problem(http.post("/v1/payment_links", json=GOOD | {"metadata": {name: "x"}}), 422)


@pytest.mark.parametrize(
    ("field", "limit"),
    [("description", 1000), ("reference", 200), ("customer.name", 200), ("customer.external_id", 200)],
)
def test_texts_have_their_limits(http: httpx.Client, field: str, limit: int) -> None:
    refused(http, field, "string_too_long", **placed(field, "x" * (limit + 1)))
    refused(http, field, "string_too_short", **placed(field, "  "))


def placed(field: str, value: Any) -> dict[str, Any]:
    head, _, rest = field.partition(".")
    return {head: placed(rest, value) if rest else value}


def test_an_unknown_field_is_not_lost_in_silence(http: httpx.Client) -> None:
    refused(http, "amout", "extra_forbidden", amout=1)
    refused(http, "customer.mail", "extra_forbidden", customer={"mail": "x"})
    refused(http, "deliver.0.too", "extra_forbidden", deliver=[{"channel": "qr", "too": 1}])


FIELDS = [
    *("description", "reference", "currency", "customer.name", "customer.email", "customer.phone", "customer.locale"),
    *("customer.external_id", "metadata.note", "expires_at"),
]


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("bad", ["nul \\u0000", "lone \\ud800", "escape \\u001b[31m", "\\udfff"])
def test_what_cannot_be_stored_or_shown_is_refused(http: httpx.Client, field: str, bad: str) -> None:
    text = json.dumps(GOOD | placed(field, "@@")).replace("@@", bad)
    answer = http.post("/v1/payment_links", content=text, headers={"Content-Type": "application/json"})
    problem(answer, 422)


@pytest.mark.parametrize("name", ["\\u0000", "\\ud800", "x\\u0000"])
def test_a_strange_name_of_a_field_is_refused(http: httpx.Client, name: str) -> None:
    for text in (
        f'{{"amount":1,"currency":"GBP","{name}":1}}',
        f'{{"amount":1,"currency":"GBP","metadata":{{"{name}":""}}}}',
    ):
        answer = http.post("/v1/payment_links", content=text, headers={"Content-Type": "application/json"})
        problem(answer, 422)


@pytest.mark.parametrize("text", ["%00", "a%00b", "%ed%a0%80", "%ff", "%F0%9F%92%A9", "%0d%0aX:1", "..%2f..", "'--"])
def test_a_strange_address_is_not_found(api: Api, http: httpx.Client, text: str) -> None:
    answers = [http.get(f"/v1/payment_links/{text}{rest}") for rest in ("", "/events", "/deliveries/x/qr.svg")]
    answers += [http.get(f"/v1/payment_links?starting_after={text}"), http.post(f"/v1/payments/{text}/approve")]
    answers += [http.get(f"/v1/events/stream?payment_link={text}")]
    for answer in answers:
        # PostgreSQL cannot even be asked for a NUL.
        status = 400 if "%00" in text and not api.db.sqlite else 404
        problem(answer, status, "unstorable_value" if status == 400 else "not_found")
    for params in (f"customer={text}", f"reference={text}", f"q={text}", f"status=paid&q={text}"):
        answer = http.get(f"/v1/payment_links?{params}")
        assert answer.status_code in {200, 400, 422}, (params, answer.text)


def test_numbers_in_the_address_have_their_limits(api: Api, http: httpx.Client) -> None:
    for wrong in ("-1", str(2**63), "9" * 4000, "x", "1e3"):
        problem(http.get(f"/v1/payment_links/x/events?after_seq={wrong}"), 422)


@pytest.mark.parametrize("last", ["x", "-1", "1.5", "9" * 20, "0x1", "١"])
def test_a_bad_place_in_the_stream_is_refused(http: httpx.Client, last: str) -> None:
    for options in ({"params": {"last_event_id": last}}, {"headers": {"Last-Event-ID": last.encode()}}):
        problem(http.get("/v1/events/stream", **options), 400, "bad_last_event_id")
    assert problem(http.get("/v1/events/stream", params={"last_event_id": "9" * 21}), 422)


@pytest.mark.parametrize(
    ("content", "code"),
    [
        *((b"", "missing"), (b"{", "invalid_json"), (b"nonsense", "invalid_json"), (b'{"amount":1', "invalid_json")),
        *((b"[]", "model_attributes_type"), (b"null", "model_attributes_type"), (b"1", "model_attributes_type")),
        *((b'"\xff"', "bad_request"), (b"\xff\xfe{\x00}\x00", "missing"), (b"[" * 60_000, "bad_request")),
        *((b'{"a":' * 10_000, "bad_request"), (b'{"amount":' + b"9" * 60_000 + b"}", "bad_request")),
        *((b'{"amount":NaN,"currency":"GBP"}', "int_type"), (b'{"amount":1e400,"currency":"GBP"}', "int_type")),
    ],
    ids=lambda value: value[:12] if isinstance(value, bytes) else value,
)
def test_what_is_not_a_json_object_is_refused(http: httpx.Client, content: bytes, code: str) -> None:
    answer = http.post("/v1/payment_links", content=content, headers={"Content-Type": "application/json"})
    problem(answer, answer.status_code)
    assert answer.status_code in {400, 422}
    assert code in codes(answer.json()), answer.text


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", None, "x"])
def test_json_must_be_called_json(http: httpx.Client, kind: str | None) -> None:
    """A foreign page can send these three without asking first, but not ``application/json``."""
    headers = {"Content-Type": kind} if kind else {}
    answer = http.post("/v1/payment_links", content=json.dumps(GOOD).encode(), headers=headers)
    problem(answer, 415, "unsupported_media_type")


def test_a_parameter_that_is_wrong_is_named_as_it_was_given(http: httpx.Client) -> None:
    (wrong,) = problem(http.get("/v1/payment_links", params={"status": "bogus"}), 422)["errors"]
    assert wrong["field"] == "status"


def test_a_head_is_answered_as_a_get_without_its_body(http: httpx.Client) -> None:
    for path in ("/healthz", "/readyz", "/v1/me", "/v1/payment_links"):
        answer = http.head(path)
        assert (answer.status_code, answer.content) == (http.get(path).status_code, b"")


def test_a_body_over_64_kib_is_refused_with_and_without_its_length(http: httpx.Client) -> None:
    body = json.dumps(GOOD | {"description": "x" * 65_536}).encode()
    assert len(body) > 64 * 1024
    headers = {"Content-Type": "application/json"}
    problem(http.post("/v1/payment_links", content=body, headers=headers), 413, "body_too_large")

    def pieces() -> Iterator[bytes]:
        yield from (body[at : at + 4096] for at in range(0, len(body), 4096))

    problem(http.post("/v1/payment_links", content=pieces(), headers=headers), 413, "body_too_large")


def test_a_body_that_never_comes_is_refused_by_its_announced_length(api: Api) -> None:
    place = urlsplit(api.url)
    head = "POST /v1/payment_links HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n"
    with socket.create_connection((place.hostname, place.port), timeout=10) as raw:
        raw.sendall(head.encode())
        assert raw.recv(4096).startswith(b"HTTP/1.1 413 ")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", "/v1/payment_links", "GET, POST"),
        ("DELETE", "/v1/payment_links/x", "GET"),
        ("GET", "/v1/payment_links/x/cancel", "POST"),
        ("GET", "/v1/sessions", "POST"),
        ("POST", "/v1/me", "GET"),
        ("GET", "/webhooks/psp/sandbox", "POST"),
    ],
)
def test_a_wrong_method_is_told_the_right_ones(http: httpx.Client, method: str, path: str, allowed: str) -> None:
    answer = http.request(method, path)
    problem(answer, 405, "method_not_allowed")
    assert answer.headers["allow"] == allowed


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize("path", ["/v1", "/v1/", "/v1/nonsense", "/v1/payment_links/x/nonsense", "/webhooks/nonsense"])
def test_an_unknown_address_is_not_found_by_any_method(http: httpx.Client, method: str, path: str) -> None:
    problem(http.request(method, path), 404, "not_found")
