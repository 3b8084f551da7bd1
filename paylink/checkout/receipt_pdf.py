"""The receipt as a PDF of one page, or more if somebody wrote a lot; its text can be selected and read aloud.

The font comes with it: a part of DejaVu Sans with the Latin, Greek and Cyrillic letters and the signs of currencies.
What else a merchant writes is shown as a box, and the page says so.
"""

import unicodedata
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from io import BytesIO
from typing import TYPE_CHECKING, Any, Final

from paylink.messages.render import ReceiptFacts, receipt_texts

if TYPE_CHECKING:
    from reportlab.pdfgen.canvas import Canvas

LANGUAGE: Final = "en"
FONT: Final = "DejaVuSans"
BOX: Final = "\u25a1"
# A4 in points, and how the page is laid out on it.
WIDTH, HEIGHT = 595.28, 841.89
LEFT, RIGHT, TOP, BOTTOM = 72.0, WIDTH - 72.0, HEIGHT - 96.0, 72.0
VALUES: Final = 190.0
SOFT, DARK = 0.35, 0.07

TITLE: Final = "Receipt"
ROWS: Final = (
    ("Amount paid", "amount"),
    ("Paid to", "merchant"),
    ("Date", "when"),
    ("For", "description"),
    ("Reference", "reference"),
    ("Card", "card"),
    ("Still to pay", "left"),
    ("Payment", "payment"),
)
NOT_SHOWN: Final = "Letters that this document cannot show are marked \u25a1."


def draw(facts: ReceiptFacts) -> bytes:
    """Blocks for some hundredths of a second: to be called in a thread."""
    from reportlab.pdfgen.canvas import Canvas  # noqa: PLC0415 - a tenth of a second that most processes never need

    out = BytesIO()
    _register()
    page = Canvas(out, pagesize=(WIDTH, HEIGHT), lang=LANGUAGE, initialFontName=FONT, pageCompression=1)
    page.setTitle(TITLE)
    page._doc.info = _only_title(page._doc.info)  # noqa: SLF001 - it has no other way to leave names and times out
    _fill(page, receipt_texts(facts))
    page.save()
    return out.getvalue()


def _fill(page: "Canvas", texts: dict[str, str | None]) -> None:
    shown = {name: _shown(value) for name, value in texts.items() if value}
    y = _line(page, shown["merchant"], TOP, size=11, grey=SOFT)
    y = _line(page, TITLE, y - 20, size=22)
    y = _line(page, shown["amount"], y - 16, size=16) - 24
    for label, name in ROWS:
        if name in shown:
            y = _row(page, label, shown[name], y)
    if any(BOX in text for text in shown.values()):
        _line(page, NOT_SHOWN, y - 12, size=9, grey=SOFT)


def _row(page: "Canvas", label: str, value: str, y: float) -> float:
    if y < BOTTOM:
        page.showPage()
        y = TOP
    page.setStrokeGray(0.88)
    page.line(LEFT, y + 16, RIGHT, y + 16)
    _line(page, label, y, size=10, grey=SOFT)
    return _line(page, value, y, size=10, x=VALUES) - 16


def _line(page: "Canvas", text: str, y: float, *, size: float, x: float = LEFT, grey: float = DARK) -> float:
    """As many lines as ``text`` needs, on the next page if it must be; answers with where the next one begins."""
    for part in _wrapped(text, size=size, width=RIGHT - x):
        if y < BOTTOM:
            page.showPage()
            y = TOP
        page.setFont(FONT, size)
        page.setFillGray(grey)
        page.drawString(x, y, part)
        y -= size * 1.4
    return y


def _wrapped(text: str, *, size: float, width: float) -> Iterator[str]:
    """By words, and within a word that is wider than the line."""
    from reportlab.pdfbase.pdfmetrics import stringWidth  # noqa: PLC0415

    line = ""
    for word in text.split():
        for piece in _pieces(word, lambda part: stringWidth(part, FONT, size) <= width):
            joined = f"{line} {piece}" if line else piece
            if line and stringWidth(joined, FONT, size) > width:
                yield line
                joined = piece
            line = joined
    if line:
        yield line


def _pieces(word: str, fits: Any) -> Iterator[str]:
    while not fits(word):
        end = next(n for n in range(len(word), 0, -1) if n == 1 or fits(word[:n]))
        yield word[:end]
        word = word[end:]
    if word:
        yield word


def _shown(text: str) -> str:
    known = _register()
    return "".join(
        char if ord(char) in known or char.isspace() else BOX
        for char in unicodedata.normalize("NFC", text)
        if unicodedata.category(char) not in {"Cf", "Mn"} or ord(char) in known
    )


@cache
def _register() -> frozenset[int]:
    """Makes the font known to the library, once; which characters it has."""
    from reportlab.pdfbase.pdfmetrics import registerFont  # noqa: PLC0415
    from reportlab.pdfbase.ttfonts import TTFont  # noqa: PLC0415

    font = TTFont(FONT, BytesIO((files("paylink.checkout") / "fonts" / "DejaVuSans-subset.ttf").read_bytes()))
    registerFont(font)
    return frozenset(font.face.charToGlyph)


def _only_title(info: Any) -> Any:
    """The document's properties without author, producer and times."""
    from reportlab.pdfbase.pdfdoc import PDFDictionary, PDFString  # noqa: PLC0415

    class OnlyTitle(type(info)):  # type: ignore[misc]
        def format(self, document: Any) -> Any:
            return PDFDictionary({"Title": PDFString(self.title)}).format(document)

    found = OnlyTitle()
    found.title = info.title
    return found
