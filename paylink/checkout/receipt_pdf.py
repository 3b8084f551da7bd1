"""The receipt as a PDF of one page, or more if somebody wrote a lot; its text can be selected and read aloud.

The font comes with it: a part of DejaVu Sans with the Latin, Greek and Cyrillic letters and the signs of currencies.
A Chinese receipt names a font of the reader's own for its characters, as the PDF standard provides; programs that show
PDFs have one. Arabic letters change with their neighbours and run from the right, which what draws here cannot do, so
an Arabic receipt is in English, and the page says so where it is fetched. What else somebody writes is shown as a box,
and the document says so.
"""

import unicodedata
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from io import BytesIO
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final

from paylink.kit import i18n
from paylink.kit.i18n import N_
from paylink.messages.render import ReceiptFacts, receipt_texts

if TYPE_CHECKING:
    from reportlab.pdfgen.canvas import Canvas

FONT: Final = "DejaVuSans"
# The standard's own fonts for Chinese, and the character set that each surely has.
CHINESE: Final = {"zh-Hans": ("STSong-Light", "gbk"), "zh-Hant": ("MSung-Light", "big5")}
# Languages that are not drawn here, but told in English.
NOT_DRAWN: Final = frozenset({"ar"})
BOX: Final = "\u25a1"
# A4 in points, and how the page is laid out on it.
WIDTH, HEIGHT = 595.28, 841.89
LEFT, RIGHT, TOP, BOTTOM = 72.0, WIDTH - 72.0, HEIGHT - 96.0, 72.0
VALUES: Final = 190.0
SOFT, DARK = 0.35, 0.07

TITLE: Final = N_("Receipt")
ROWS: Final = (
    (N_("Amount paid"), "amount"),
    (N_("Paid to"), "merchant"),
    (N_("Date"), "when"),
    (N_("For"), "description"),
    (N_("Reference"), "reference"),
    (N_("Card"), "card"),
    (N_("Still to pay"), "left"),
    (N_("Payment"), "payment"),
)
NOT_SHOWN: Final = N_("Letters that this document cannot show are marked \u25a1.")


def drawn_in(language: str) -> str:
    """The language a reader of ``language`` gets the document in."""
    return i18n.DEFAULT if language in NOT_DRAWN else language


def draw(facts: ReceiptFacts) -> bytes:
    """``facts`` in the language that ``drawn_in`` names. Blocks for some hundredths of a second: for a thread."""
    from reportlab.pdfgen.canvas import Canvas  # noqa: PLC0415 - a tenth of a second that most processes never need

    out = BytesIO()
    _register()
    page = Canvas(out, pagesize=(WIDTH, HEIGHT), lang=facts.locale, initialFontName=FONT, pageCompression=1)
    gettext = i18n.translator(facts.locale).gettext
    page.setTitle(gettext(TITLE))
    page._doc.info = _only_title(page._doc.info)  # noqa: SLF001 - it has no other way to leave names and times out
    _Sheet(page, facts.locale).fill(receipt_texts(facts))
    page.save()
    return out.getvalue()


class _Sheet:
    """The document while it is drawn, in one language."""

    def __init__(self, page: "Canvas", language: str) -> None:
        self._page = page
        self._gettext = i18n.translator(language).gettext
        self._chinese: str | None = None
        if language in CHINESE:
            self._chinese, self._set = CHINESE[language]
            _register_chinese(self._chinese)

    def fill(self, texts: dict[str, str | None]) -> None:
        shown = {name: self._shown(value) for name, value in texts.items() if value}
        y = self._line(shown["merchant"], TOP, size=11, grey=SOFT)
        y = self._line(self._gettext(TITLE), y - 20, size=22)
        y = self._line(shown["amount"], y - 16, size=16) - 24
        for label, name in ROWS:
            if name in shown:
                y = self._row(self._gettext(label), shown[name], y)
        if any(BOX in text for text in shown.values()):
            self._line(self._gettext(NOT_SHOWN), y - 12, size=9, grey=SOFT)

    def _row(self, label: str, value: str, y: float) -> float:
        if y < BOTTOM:
            self._page.showPage()
            y = TOP
        self._page.setStrokeGray(0.88)
        self._page.line(LEFT, y + 16, RIGHT, y + 16)
        self._line(label, y, size=10, grey=SOFT)
        return self._line(value, y, size=10, x=VALUES) - 16

    def _line(self, text: str, y: float, *, size: float, x: float = LEFT, grey: float = DARK) -> float:
        """As many lines as ``text`` needs, on the next page if it must be; answers with where the next one begins."""
        for part in self._wrapped(text, size=size, width=RIGHT - x):
            if y < BOTTOM:
                self._page.showPage()
                y = TOP
            self._page.setFillGray(grey)
            self._write(part, x, y, size)
            y -= size * 1.4
        return y

    def _write(self, text: str, x: float, y: float, size: float) -> None:
        for font, run in self._runs(text):
            self._page.setFont(font, size)
            self._page.drawString(x, y, run)
            x += self._width(run, size)

    def _wrapped(self, text: str, *, size: float, width: float) -> Iterator[str]:
        """By words, and within a word that is wider than the line."""
        line = ""
        for word in text.split():
            for piece in _pieces(word, lambda part: self._width(part, size) <= width):
                joined = f"{line} {piece}" if line else piece
                if line and self._width(joined, size) > width:
                    yield line
                    joined = piece
                line = joined
        if line:
            yield line

    def _width(self, text: str, size: float) -> float:
        from reportlab.pdfbase.pdfmetrics import stringWidth  # noqa: PLC0415

        return float(sum(stringWidth(run, font, size) for font, run in self._runs(text)))

    def _runs(self, text: str) -> Iterator[tuple[str, str]]:
        """Pieces of ``text`` with the font for each: ours where it has the letters."""
        for font, run in groupby(text, self._font):
            yield font, "".join(run)

    def _font(self, char: str) -> str:
        return FONT if self._chinese is None or ord(char) in _register() or char.isspace() else self._chinese

    def _shown(self, text: str) -> str:
        known = _register()
        return "".join(
            char if ord(char) in known or char.isspace() or self._is_chinese(char) else BOX
            for char in unicodedata.normalize("NFC", text)
            if unicodedata.category(char) not in {"Cf", "Mn"} or ord(char) in known
        )

    def _is_chinese(self, char: str) -> bool:
        if self._chinese is None or char.isascii():
            return False
        try:
            char.encode(self._set)
        except UnicodeEncodeError:
            return False
        return True


def _pieces(word: str, fits: Any) -> Iterator[str]:
    while not fits(word):
        end = next(n for n in range(len(word), 0, -1) if n == 1 or fits(word[:n]))
        yield word[:end]
        word = word[end:]
    if word:
        yield word


@cache
def _register() -> frozenset[int]:
    """Makes the font known to the library, once; which characters it has."""
    from reportlab.pdfbase.pdfmetrics import registerFont  # noqa: PLC0415
    from reportlab.pdfbase.ttfonts import TTFont  # noqa: PLC0415

    font = TTFont(FONT, BytesIO((files("paylink.checkout") / "fonts" / "DejaVuSans-subset.ttf").read_bytes()))
    registerFont(font)
    return frozenset(font.face.charToGlyph)


@cache
def _register_chinese(font: str) -> None:
    from reportlab.pdfbase.cidfonts import UnicodeCIDFont  # noqa: PLC0415
    from reportlab.pdfbase.pdfmetrics import registerFont  # noqa: PLC0415

    registerFont(UnicodeCIDFont(font))


def _only_title(info: Any) -> Any:
    """The document's properties without author, producer and times."""
    from reportlab.pdfbase.pdfdoc import PDFDictionary, PDFString  # noqa: PLC0415

    class OnlyTitle(type(info)):  # type: ignore[misc]
        def format(self, document: Any) -> Any:
            return PDFDictionary({"Title": PDFString(self.title)}).format(document)

    found = OnlyTitle()
    found.title = info.title
    return found
