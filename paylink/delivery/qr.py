"""A link as a QR code, for a screen or for print. The library, and the one for images behind it, are loaded with the
first code: most processes never draw one."""

from enum import StrEnum
from io import BytesIO
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from PIL.Image import Image
    from qrcode import QRCode

# ISO/IEC 18004 asks for a quiet zone of four modules.
QUIET_ZONE: Final = 4
# Dots to a module, where nobody says how large the picture is to be.
PNG_BOX: Final = 10
# Below, a phone's camera has too little to hold on to; above, an SVG is the better answer.
MIN_SIZE: Final = 120
MAX_SIZE: Final = 2400


class Level(StrEnum):
    """How much of a code may be lost: 15 % on a screen, which is clean, so that a smaller code is read from further
    away; 25 % in print, which gets folded, wet and torn."""

    SCREEN = "M"
    PRINT = "Q"


def svg(url: str, *, level: Level = Level.SCREEN) -> bytes:
    from qrcode.image.svg import SvgPathFillImage  # noqa: PLC0415

    out = BytesIO()
    _code(url, level).make_image(image_factory=SvgPathFillImage).save(out)
    return out.getvalue()


def png(url: str, *, level: Level = Level.SCREEN, size: int | None = None) -> bytes:
    """``size``: dots on each side, exactly; ``PNG_BOX`` to a module when left out."""
    code = _code(url, level)
    if size is not None:
        code.box_size = max(1, size // (code.modules_count + 2 * QUIET_ZONE))
    image = code.make_image().get_image()
    out = BytesIO()
    (image if size is None else _framed(image, size)).save(out, format="PNG")
    return out.getvalue()


def _framed(image: "Image", size: int) -> "Image":
    """In the middle of a white square: modules of whole dots rarely fill it, and blurred ones are read badly."""
    from PIL import Image as Images  # noqa: PLC0415

    frame = Images.new("1", (size, size), 1)
    frame.paste(image, ((size - image.width) // 2, (size - image.height) // 2))
    return frame


def _code(url: str, level: Level) -> "QRCode":
    from qrcode import QRCode  # noqa: PLC0415
    from qrcode.constants import ERROR_CORRECT_M, ERROR_CORRECT_Q  # noqa: PLC0415

    correction = ERROR_CORRECT_Q if level is Level.PRINT else ERROR_CORRECT_M
    code = QRCode(error_correction=correction, box_size=PNG_BOX, border=QUIET_ZONE)
    code.add_data(url)
    code.make(fit=True)
    return code
