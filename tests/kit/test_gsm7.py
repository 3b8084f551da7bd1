"""What a text message costs, against the table of GSM 03.38 read as code points and a packer of another make."""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paylink.kit import gsm7

# 3GPP TS 23.038, 6.2.1, row by row (0x00 to 0x7F), with the escape at 0x1B left out; and 6.2.1.1.
TABLE = (
    "0040 00A3 0024 00A5 00E8 00E9 00F9 00EC 00F2 00C7 000A 00D8 00F8 000D 00C5 00E5 "
    "0394 005F 03A6 0393 039B 03A9 03A0 03A8 03A3 0398 039E 00C6 00E6 00DF 00C9 "
    "0020 0021 0022 0023 00A4 0025 0026 0027 0028 0029 002A 002B 002C 002D 002E 002F "
    "0030 0031 0032 0033 0034 0035 0036 0037 0038 0039 003A 003B 003C 003D 003E 003F "
    "00A1 0041 0042 0043 0044 0045 0046 0047 0048 0049 004A 004B 004C 004D 004E 004F "
    "0050 0051 0052 0053 0054 0055 0056 0057 0058 0059 005A 00C4 00D6 00D1 00DC 00A7 "
    "00BF 0061 0062 0063 0064 0065 0066 0067 0068 0069 006A 006B 006C 006D 006E 006F "
    "0070 0071 0072 0073 0074 0075 0076 0077 0078 0079 007A 00E4 00F6 00F1 00FC 00E0"
)
EXTENSION = "000C 005E 007B 007D 005C 005B 007E 005D 007C 20AC"
BASIC = {chr(int(code, 16)) for code in TABLE.split()}
EXTENDED = {chr(int(code, 16)) for code in EXTENSION.split()}
gsm_text = st.text(st.sampled_from(sorted(BASIC | EXTENDED)), max_size=700)
any_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=400)


def test_the_alphabet_is_the_standards() -> None:
    assert len(BASIC) == 127
    assert set(gsm7.BASIC) == BASIC
    assert set(gsm7.EXTENDED) == EXTENDED


def packed(units: list[bytes], single: int, part: int) -> int:
    """Fills parts from a queue of characters, none of them cut."""
    if sum(map(len, units)) <= single:
        return 1
    parts = [b""]
    for unit in units:
        if len(parts[-1] + unit) > part:
            parts.append(b"")
        parts[-1] += unit
    return len(parts)


@given(gsm_text)
def test_plain_texts_count_in_septets(text: str) -> None:
    units = [b"\x1bx" if char in EXTENDED else b"x" for char in text]
    assert gsm7.count(text) == gsm7.Segments("GSM-7", len(text), sum(map(len, units)), packed(units, 160, 153))


@given(any_text)
def test_other_texts_count_in_code_units(text: str) -> None:
    found = gsm7.count(text)
    if set(text) <= BASIC | EXTENDED:
        assert found.encoding == "GSM-7"
        return
    units = [b"xx" if ord(char) > 0xFFFF else b"x" for char in text]
    assert found == gsm7.Segments("UCS-2", len(text), sum(map(len, units)), packed(units, 70, 67))


@pytest.mark.parametrize(
    ("text", "segments"),
    [
        *(("", 1), ("x" * 160, 1), ("x" * 161, 2), ("x" * 306, 2), ("x" * 307, 3), ("€" * 80, 1), ("€" * 81, 2)),
        *(("x" * 152 + "€" + "x" * 152, 3), ("ж" * 70, 1), ("ж" * 71, 2), ("ж" * 134, 2), ("ж" * 135, 3)),
        *(("😀" * 35, 1), ("😀" * 36, 2), ("😀" * 66, 2), ("😀" * 67, 3)),
    ],
)
def test_a_message_breaks_where_the_standard_breaks_it(text: str, segments: int) -> None:
    assert gsm7.count(text).segments == segments


@given(any_text)
def test_plain_twins_never_cost_more(text: str) -> None:
    plain = gsm7.normalise(text)
    assert gsm7.normalise(plain) == plain
    assert gsm7.count(plain).segments <= gsm7.count(text).segments or "…" in text


def test_every_plain_twin_is_in_the_alphabet() -> None:
    assert all(set(twin) <= BASIC | EXTENDED for twin in gsm7.PLAIN_TWINS.values() if isinstance(twin, str))
    assert all(gsm7.count(a + b).encoding == "GSM-7" for a, b in product("€£$", "\n\f~"))
