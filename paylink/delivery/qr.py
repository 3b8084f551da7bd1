"""A link as a QR code, for a screen or for print. The library, and the one for images behind it, are loaded with the
first code: most processes never draw one."""

from io import BytesIO
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from qrcode import QRCode

# ISO/IEC 18004 asks for a quiet zone of four modules.
QUIET_ZONE = 4
PNG_BOX = 10


def svg(url: str) -> bytes:
    from qrcode.image.svg import SvgPathFillImage  # noqa: PLC0415

    code = _code(url)
    out = BytesIO()
    code.make_image(image_factory=SvgPathFillImage).save(out)
    return out.getvalue()


def png(url: str) -> bytes:
    out = BytesIO()
    _code(url).make_image().save(out, format="PNG")
    return out.getvalue()


def _code(url: str) -> "QRCode":
    """Error level M: a screen is clean, and a smaller code is read from further away."""
    from qrcode import QRCode  # noqa: PLC0415
    from qrcode.constants import ERROR_CORRECT_M  # noqa: PLC0415

    code = QRCode(error_correction=ERROR_CORRECT_M, box_size=PNG_BOX, border=QUIET_ZONE)
    code.add_data(url)
    return code
