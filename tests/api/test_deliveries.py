"""Sending a link again, by any channel, and the codes that are shown on a screen."""

import io
import re

import httpx
import pytest
import qrcode
import zxingcpp
from PIL import Image
from qrcode.constants import ERROR_CORRECT_M

from tests.api.world import Api, problem

PERSON = {"name": "Ann", "email": "ann@example.com", "phone": "+447700900123"}
SHAPE = {
    *("id", "object", "channel", "to", "via", "provider", "purpose", "locale", "status", "failure_reason"),
    *("failure_code", "attempts", "last_fault", "fallback", "fallback_of", "fallback_reason"),
    *("created_at", "sent_at", "delivered_at", "read_at", "withdrawn_at"),
}


@pytest.mark.parametrize(
    ("channel", "given", "to", "status"),
    [
        ("sms", None, PERSON["phone"], "queued"),
        ("sms", "+44 7700 900 456", "+447700900456", "queued"),
        ("email", None, PERSON["email"], "queued"),
        ("email", "Bob@Example.COM", "Bob@example.com", "queued"),
        ("chat", None, None, "sent"),
        ("chat", "@ann", "@ann", "queued"),
        ("qr", None, None, "sent"),
    ],
)
def test_a_link_is_sent_again(
    api: Api, http: httpx.Client, channel: str, given: str | None, to: str | None, status: str
) -> None:
    link = api.create(http, customer=PERSON)
    body = {"channel": channel} | ({"to": given} if given else {})
    answer = http.post(f"/v1/payment_links/{link['id']}/deliveries", json=body)
    assert (answer.status_code, answer.headers["cache-control"]) == (201, "no-store")
    sent = answer.json()
    shown = channel in {"chat", "qr"}
    assert set(sent) == SHAPE | ({"url"} if shown else set())
    assert (sent["channel"], sent["to"], sent["status"]) == (channel, to, status)
    if shown:
        assert re.fullmatch(r"http://checkout\.test/p/[\w-]{22}", sent["url"])
        assert sent["url"] != link["url"]
        del sent["url"]
    assert http.get(f"/v1/payment_links/{link['id']}").json()["deliveries"] == [sent]
    told = http.get(f"/v1/payment_links/{link['id']}/events", params={"after_seq": 1}).json()["data"]
    assert [event["type"] for event in told] == ["delivery.queued"] + ["delivery.sent"] * (status == "sent")
    for event in told:
        assert event["data"]["delivery"] == sent["id"]
        assert PERSON["phone"] not in str(event)
        assert PERSON["email"] not in str(event)


def test_deliveries_are_listed_in_the_order_they_were_asked_for(api: Api, http: httpx.Client) -> None:
    channels = ["qr", "chat", "sms", "email", "qr", "chat", "sms", "email", "qr", "chat"]
    link = api.create(http, customer=PERSON, deliver=[{"channel": name} for name in channels])
    for name in channels:
        http.post(f"/v1/payment_links/{link['id']}/deliveries", json={"channel": name})
    found = http.get(f"/v1/payment_links/{link['id']}").json()["deliveries"]
    assert [one["channel"] for one in found] == channels * 2


def test_a_link_cannot_be_sent_without_end(api: Api, http: httpx.Client) -> None:
    link = api.create(http)  # its own address is a door too
    answers = [http.post(f"/v1/payment_links/{link['id']}/deliveries", json={"channel": "chat"}) for _ in range(50)]
    assert [answer.status_code for answer in answers] == [201] * 49 + [409]
    problem(answers[-1], 409, "too_many_deliveries")


def test_both_codes_lead_to_the_page(api: Api, http: httpx.Client) -> None:
    link = api.create(http, deliver=[{"channel": "qr"}])
    (sent,) = link["deliveries"]
    place = f"/v1/payment_links/{link['id']}/deliveries/{sent['id']}"
    png, svg = http.get(f"{place}/qr.png"), http.get(f"{place}/qr.svg")
    assert (png.headers["content-type"], svg.headers["content-type"]) == ("image/png", "image/svg+xml")
    assert png.headers["cache-control"] == svg.headers["cache-control"] == "no-store"
    image = Image.open(io.BytesIO(png.content)).convert("L")
    (code,) = zxingcpp.read_barcodes(image)
    assert code.text == sent["url"]
    (drawn,) = zxingcpp.read_barcodes(drawing(svg.text))
    assert drawn.text == sent["url"]


def drawing(svg: str) -> Image.Image:
    """The picture that the path of squares describes, ten dots to a module."""
    size = int(re.search(r'viewBox="0 0 (\d+) \d+"', svg)[1])  # type: ignore[index]
    image = Image.new("L", (size, size), 255)
    (path,) = re.findall(r'<path[^>]* d="([^"]+)"', svg)
    for x, y, width, height in re.findall(r"M([\d.]+),([\d.]+)H([\d.]+)V([\d.]+)", path):
        box = (int(float(x)), int(float(y)), int(float(width)), int(float(height)))
        image.paste(0, box)
    return image.resize((size * 10, size * 10), Image.Resampling.NEAREST)


def test_the_code_is_as_small_as_it_can_be(api: Api, http: httpx.Client) -> None:
    link = api.create(http, deliver=[{"channel": "qr"}])
    (sent,) = link["deliveries"]
    png = http.get(f"/v1/payment_links/{link['id']}/deliveries/{sent['id']}/qr.png")
    oracle = qrcode.QRCode(error_correction=ERROR_CORRECT_M)
    oracle.add_data(sent["url"])
    oracle.make(fit=True)
    assert Image.open(io.BytesIO(png.content)).size == ((oracle.modules_count + 8) * 10,) * 2


@pytest.mark.parametrize("channel", ["sms", "email", "chat"])
def test_only_a_qr_delivery_has_a_code(api: Api, http: httpx.Client, channel: str) -> None:
    link = api.create(http, customer=PERSON, deliver=[{"channel": channel}])
    code = f"/v1/payment_links/{link['id']}/deliveries/{link['deliveries'][0]['id']}/qr.png"
    problem(http.get(code), 409, "qr_not_available")


def test_what_is_wrong_with_an_address_is_said_at_its_field(api: Api, http: httpx.Client) -> None:
    link = api.create(http)
    path = f"/v1/payment_links/{link['id']}/deliveries"
    for body, field, code in (
        ({"channel": "sms"}, "to", "address_missing"),
        ({"channel": "email"}, "to", "address_missing"),
        ({"channel": "sms", "to": "0770"}, "to", "phone_country_missing"),
        ({"channel": "email", "to": "x"}, "to", "email_invalid"),
        ({"channel": "fax"}, "channel", "enum"),
        ({}, "channel", "missing"),
        ({"channel": "qr", "nonsense": 1}, "nonsense", "extra_forbidden"),
    ):
        found = problem(http.post(path, json=body), 422)["errors"]
        assert [(error["field"], error["code"]) for error in found] == [(field, code)]


def test_an_address_can_be_checked_before(http: httpx.Client) -> None:
    good = http.post("/v1/addresses/check", json={"channel": "sms", "to": "+44 7700 900123"}).json()
    assert (good["valid"], good["normalized"], good["code"]) == (True, "+447700900123", None)
    bad = http.post("/v1/addresses/check", json={"channel": "sms", "to": "+442079460000"}).json()
    assert (bad["valid"], bad["normalized"], bad["code"]) == (False, None, "phone_not_mobile")


def test_a_message_can_be_read_before_it_is_sent(http: httpx.Client) -> None:
    body = {"channel": "sms", "amount": 4999, "currency": "EUR", "reference": "INV-1"}
    text = http.post("/v1/deliveries/preview", json=body).json()
    assert "€49.99" in text["text"]
    assert text["segments"]["encoding"] == "GSM-7"
    mail = http.post("/v1/deliveries/preview", json=body | {"channel": "email"}).json()
    assert mail["subject"]
    assert mail["segments"] is None


def test_a_preview_speaks_of_the_link_it_is_of(http: httpx.Client) -> None:
    def said(channel: str, **more: str | None) -> str:
        body = {"channel": channel, "amount": 4999, "currency": "EUR", "language": "de", **more}
        return str(http.post("/v1/deliveries/preview", json=body).json()["text"])

    assert said("chat", words="brave otter nine").endswith("Erkennungswörter: brave otter nine.")
    # As a link's answer has it when the link has no words.
    assert "Erkennungswörter" not in said("chat", words=None)
    assert "6. Mai 2031, 07:08 UTC" in said("email", expires_at="2031-05-06T07:08:09.000Z")
    assert "6. Mai 2031, 02:08 UTC" in said("email", expires_at="2031-05-06T07:08:09+05:00")


@pytest.mark.parametrize("moment", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
def test_a_preview_of_no_time_that_can_be_told_is_refused(http: httpx.Client, moment: str) -> None:
    body = {"channel": "chat", "amount": 4999, "currency": "EUR", "expires_at": moment}
    problem(http.post("/v1/deliveries/preview", json=body), 422)


def test_the_currencies_are_iso_4217s(http: httpx.Client) -> None:
    data = {one.pop("code"): one for one in http.get("/v1/currencies").json()["data"]}
    found = {code: one["exponent"] for code, one in data.items()}
    assert (found["GBP"], found["JPY"], found["KWD"], found["ISK"]) == (2, 0, 3, 0)
    assert not found.keys() & {"XAU", "XXX", "XTS", "CHW"}
    # What the provider cannot charge is not offered.
    assert not found.keys() & {"IQD", "KPW"}
    bounds = {"exponent": 3, "min_amount": 10, "max_amount": 99_999_990, "step": 10}
    assert {name: data["KWD"][name] for name in bounds} == bounds
