"""The QR code of a delivery as the API hands it out."""

import io

import httpx
import pytest
import zxingcpp
from PIL import Image

from tests.api.world import Api, problem


def place(api: Api, http: httpx.Client) -> tuple[str, str, str]:
    """Where the codes of a new QR delivery are, its id, and the address they lead to."""
    link = api.create(http, deliver=[{"channel": "qr"}])
    (sent,) = link["deliveries"]
    return f"/v1/payment_links/{link['id']}/deliveries/{sent['id']}", sent["id"], sent["url"]


def read(content: bytes) -> zxingcpp.Barcode:
    (found,) = zxingcpp.read_barcodes(Image.open(io.BytesIO(content)).convert("L"))
    return found


def test_a_code_for_print_is_asked_for_by_its_level(api: Api, http: httpx.Client) -> None:
    codes, _, url = place(api, http)
    for params, level in (({}, "M"), ({"level": "M"}, "M"), ({"level": "Q"}, "Q")):
        found = read(http.get(f"{codes}/qr.png", params=params).content)
        assert (found.text, found.ec_level) == (url, level)
    screen, for_print = (http.get(f"{codes}/qr.svg", params={"level": level}).text for level in ("M", "Q"))
    assert http.get(f"{codes}/qr.svg").text == screen != for_print


def test_a_picture_has_the_size_asked_for(api: Api, http: httpx.Client) -> None:
    codes, _, url = place(api, http)
    answer = http.get(f"{codes}/qr.png", params={"level": "Q", "size": 640})
    assert Image.open(io.BytesIO(answer.content)).size == (640, 640)
    assert read(answer.content).text == url


def test_a_saved_code_has_a_name(api: Api, http: httpx.Client) -> None:
    codes, delivery_id, _ = place(api, http)
    for kind in ("svg", "png"):
        answer = http.get(f"{codes}/qr.{kind}")
        assert answer.headers["content-disposition"] == f'inline; filename="payment-qr-{delivery_id}.{kind}"'
        assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    ("params", "field"),
    [
        ({"level": "H"}, "level"),
        ({"level": "q"}, "level"),
        ({"size": "119"}, "size"),
        ({"size": "2401"}, "size"),
        ({"size": "big"}, "size"),
    ],
)
def test_another_level_or_size_is_refused(api: Api, http: httpx.Client, params: dict[str, str], field: str) -> None:
    codes, _, _ = place(api, http)
    refused = problem(http.get(f"{codes}/qr.png", params=params), 422, "validation_failed")
    assert [error["field"] for error in refused["errors"]] == [field]
