"""Our own texts: one template per channel, whose sentences are translated before it is read as a template.

What comes out is what a merchant could have written, with the same names and nothing else in it, so it is also what
they begin with when they write their own.
"""

import html
import re
from functools import cache
from importlib.resources import files
from typing import Final

from paylink.kit.i18n import translator

# {{ _("Pay %(amount)s here", amount=amount) }}
SENTENCE: Final = re.compile(r'\{\{ _\("([^"]*)"((?:, \w+=\w+)*)\) \}\}')
PLACE: Final = re.compile(r"%\((\w+)\)s")


@cache
def source(name: str, language: str) -> str:
    """The template in the file ``name`` with its sentences in ``language``: ``{{ merchant }}: Bitte …``."""
    text = (files("paylink.messages") / "templates" / name).read_text("utf-8")
    return localised(text, language, markup=not name.endswith(".txt"))


def localised(text: str, language: str, *, markup: bool) -> str:
    translate = translator(language).gettext

    def sentence(found: re.Match[str]) -> str:
        names = dict(one.split("=") for one in found[2].split(", ")[1:])
        said = translate(found[1])
        said = html.escape(said, quote=False) if markup else said
        return PLACE.sub(lambda place: f"{{{{ {names[place[1]]} }}}}", said)

    return SENTENCE.sub(sentence, text)
