"""The words by which a person says that they want no more messages, or want them again.

The union of what the large carriers take (Twilio, Telnyx, AWS), and the words that people of the languages paylink
speaks would use. Only a whole message counts: "please stop by at four" is conversation.
"""

import unicodedata
from enum import StrEnum
from typing import Final


class Wish(StrEnum):
    STOP = "stop"
    START = "start"


STOP_WORDS: Final = frozenset(
    {
        # English, as carriers list them.
        *("stop", "stopall", "stop all", "unsubscribe", "cancel", "end", "quit", "revoke", "optout", "opt out"),
        *("remove", "td", "stop promotions", "stop sms"),
        # German.
        *("stopp", "abmelden", "abbestellen", "ende"),
        # French.
        *("arret", "arreter", "desabonner", "desinscrire"),
        # Spanish.
        *("parar", "alto", "baja", "cancelar"),
        # Polish.
        *("rezygnuje", "rezygnacja", "wypisz"),
        # Chinese, simplified and traditional: T and TD are what carriers there tell people to write.
        *("t", "退订", "退訂", "取消订阅", "取消訂閱", "停止"),
        # Arabic.
        *("توقف", "ايقاف", "الغاء"),
    }
)
START_WORDS: Final = frozenset(
    {
        *("start", "unstop", "resume", "subscribe", "opt in", "optin"),
        *("anmelden",),
        *("reprendre", "commencer"),
        *("alta", "iniciar"),
        *("wznow",),
        *("订阅", "訂閱"),
        *("اشتراك",),
    }
)
# Said around the word, they change nothing about it.
POLITE: Final = frozenset(
    {"please", "pls", "plz", "bitte", "svp", "por favor", "prosze", "thanks", "thank you", "请", "請"}
)
# A message longer than this is no keyword, however it begins.
LONGEST: Final = 80
_UNMARKED: Final = str.maketrans({"ł": "l", "ß": "ss", "أ": "ا", "إ": "ا", "آ": "ا"})


def wish_in(text: str) -> Wish | None:
    """What the whole message asks for; ``None`` for anything else."""
    if len(text) > LONGEST:
        return None
    said = _without_courtesy(_plain(text))
    if said in STOP_WORDS:
        return Wish.STOP
    return Wish.START if said in START_WORDS else None


def _plain(text: str) -> str:
    """Small letters of one width without accents; whatever is neither letter nor digit parts words."""
    wide = unicodedata.normalize("NFKD", text.casefold().translate(_UNMARKED))
    kept = (char if char.isalnum() else " " for char in wide if not unicodedata.combining(char))
    return " ".join("".join(kept).translate(_UNMARKED).split())


def _without_courtesy(said: str) -> str:
    """However many are said, in whatever order."""
    before = None
    while said != before:
        before = said
        for courtesy in POLITE:
            said = said.removeprefix(f"{courtesy} ").removesuffix(f" {courtesy}")
    return said
