"""Codes for a screen and for print, read back by another library than the one that draws them."""

import io
import re
import xml.etree.ElementTree as ET

import pytest
import qrcode
import zxingcpp
from PIL import Image
from qrcode.constants import ERROR_CORRECT_M, ERROR_CORRECT_Q

from paylink.delivery import qr
from paylink.delivery.qr import Level

URL = "https://pay.example.com/p/3q2-7vX0aBcDeFgHiJkLmN"
LEVELS = {Level.SCREEN: ERROR_CORRECT_M, Level.PRINT: ERROR_CORRECT_Q}


def picture(content: bytes) -> Image.Image:
    return Image.open(io.BytesIO(content)).convert("L")


def read(image: Image.Image) -> zxingcpp.Barcode:
    (found,) = zxingcpp.read_barcodes(image)
    return found


def modules(level: Level) -> int:
    """On each side, quiet zone included."""
    oracle = qrcode.QRCode(error_correction=LEVELS[level])
    oracle.add_data(URL)
    oracle.make(fit=True)
    return int(oracle.modules_count) + 8


def from_svg(content: bytes) -> Image.Image:
    """The picture that the path of squares describes, ten dots to a module."""
    root = ET.fromstring(content)
    side = int(root.attrib["viewBox"].split()[2])
    image = Image.new("L", (side, side), 255)
    (path,) = (one.attrib["d"] for one in root.iter() if one.tag.endswith("path"))
    for square in re.findall(r"M([\d.]+),([\d.]+)H([\d.]+)V([\d.]+)", path):
        image.paste(0, tuple(int(float(place)) for place in square))
    return image.resize((side * 10, side * 10), Image.Resampling.NEAREST)


@pytest.mark.parametrize("level", Level)
def test_a_code_has_the_level_it_was_asked_for(level: Level) -> None:
    for image in (picture(qr.png(URL, level=level)), from_svg(qr.svg(URL, level=level))):
        found = read(image)
        assert (found.text, found.ec_level) == (URL, level.value)
        assert image.size == (modules(level) * 10,) * 2


def test_a_screen_is_what_a_code_is_for_when_nobody_says() -> None:
    assert qr.svg(URL) == qr.svg(URL, level=Level.SCREEN) != qr.svg(URL, level=Level.PRINT)
    assert qr.png(URL) == qr.png(URL, level=Level.SCREEN) != qr.png(URL, level=Level.PRINT)


@pytest.mark.parametrize("level", Level)
@pytest.mark.parametrize("size", [qr.MIN_SIZE, 333, 1000, qr.MAX_SIZE])
def test_a_picture_is_as_large_as_it_was_asked_for_with_sharp_modules(level: Level, size: int) -> None:
    image = picture(qr.png(URL, level=level, size=size))
    assert image.size == (size, size)
    assert read(image).text == URL
    assert {value for _, value in image.getcolors()} == {0, 255}
    # The dark square in the middle: the code without its quiet zone, in modules of whole dots as large as can be.
    left, top, right, bottom = image.point(lambda dot: 255 - dot).getbbox()
    dots = size // modules(level)
    assert right - left == bottom - top == (modules(level) - 8) * dots
    assert min(left, top, size - right, size - bottom) >= 4 * dots
    assert abs(left - (size - right)) <= 1


def test_a_printed_code_is_read_where_one_for_a_screen_is_not_any_more() -> None:
    """A blot of a fifth of the code, away from the three corners by which it is found."""
    readable = {}
    for level in Level:
        image = picture(qr.png(URL, level=level, size=1000))
        image.paste(255, (500, 470, 840, 740))
        readable[level] = [one.text for one in zxingcpp.read_barcodes(image)]
    assert readable == {Level.SCREEN: [], Level.PRINT: [URL]}
