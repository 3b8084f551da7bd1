"""STOP and START in the languages we speak; everything else is conversation."""

import pytest

from paylink.consent.words import LONGEST, START_WORDS, STOP_WORDS, Wish, wish_in


# What Twilio, Telnyx and AWS list as their defaults.
@pytest.mark.parametrize(
    "word",
    [
        *("STOP", "UNSUBSCRIBE", "END", "QUIT", "STOPALL", "REVOKE", "OPTOUT", "CANCEL"),
        *("STOP ALL", "ARRET", "OPT-OUT", "REMOVE", "TD", "Stop promotions"),
    ],
)
def test_every_word_of_the_carriers_lists_stops(word: str) -> None:
    assert wish_in(word) is Wish.STOP


@pytest.mark.parametrize("word", ["START", "UNSTOP", "start", "Unstop!"])
def test_start_and_unstop_start(word: str) -> None:
    assert wish_in(word) is Wish.START


@pytest.mark.parametrize(
    "text",
    [
        *("  stop\n", "Stop.", "»Stop!«", "STOP!!!", "sToP", "stop :)"),
        *("ＳＴＯＰ", "ｓｔｏｐ", "Stop\u00a0", "\u200bstop", "opt\u2011out", "opt out"),
        *("Please stop", "stop please", "STOP, thanks", "stop, please, thank you"),
        *("Stopp", "Bitte abmelden", "Abbestellen"),
        *("Arrêt", "ARRÊTER", "arrêter svp", "désabonner"),
        *("parar por favor", "Baja", "BAJA."),
        *("rezygnuję", "Proszę stop"),
        *("退订", "取消订阅", "退訂", "توقف", "إيقاف"),
    ],
)
def test_how_it_is_written_does_not_matter(text: str) -> None:
    assert wish_in(text) is Wish.STOP


@pytest.mark.parametrize(
    "text",
    [
        *(
            "Please stop by at four",
            "stop it, that hurts",
            "I will not stop",
            "When does it end?",
            "Nonstop",
            "stopping",
        ),
        *("Can I cancel the appointment", "", "   ", "?!", "ok", "STOP " * 30, "stop and start", "\x00"),
        *("4242 4242 4242 4242", "stop " + "x" * 200, "👍"),
    ],
)
def test_conversation_is_not_a_wish(text: str) -> None:
    assert wish_in(text) is None


def test_no_word_says_both_and_every_word_is_found_as_it_is_listed() -> None:
    assert not STOP_WORDS & START_WORDS
    assert {wish_in(word) for word in STOP_WORDS} == {Wish.STOP}
    assert {wish_in(word) for word in START_WORDS} == {Wish.START}
    assert max(map(len, STOP_WORDS | START_WORDS)) < LONGEST
