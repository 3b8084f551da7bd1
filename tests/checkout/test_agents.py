import pytest
from hypothesis import given
from hypothesis import strategies as st

from paylink.checkout.agents import By, Device, Visitor, Why, device, recognise
from tests.checkout.world import CHROME, PHONE

IPHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_4 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko)"
ANDROID = "Mozilla/5.0 (Linux; Android 13; SM-S911B) AppleWebKit/537.36 (KHTML, like Gecko)"

PEOPLE = {
    "Chrome": CHROME,
    "Safari": PHONE,
    "Firefox": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
    "Samsung": f"{ANDROID} SamsungBrowser/24.0 Chrome/117.0.0.0 Mobile Safari/537.36",
    "Instagram": f"{IPHONE} Mobile/21E219 Instagram 325.0.3.30.84 (iPhone14,5; iOS 17_4; en_GB)",
    "Facebook": f"{IPHONE} Mobile/21E219 [FBAN/FBIOS;FBAV/454.0.0.36.109;FBDV/iPhone14,5]",
    "LINE": f"{IPHONE} Mobile/15E148 Safari Line/14.3.0",
    "WeChat": f"{IPHONE} Mobile/15E148 MicroMessenger/8.0.47(0x18002f2f) NetType/WIFI Language/en",
    "Google": f"{IPHONE} GSA/307.0.615335384 Mobile/15E148 Safari/604.1",
    "DuckDuckGo": f"{IPHONE} Version/17.4 Mobile/15E148 DuckDuckGo/7 Safari/605.1.15",
    "Snapchat": f"{IPHONE} Version/17.4 Mobile/15E148 Snapchat/12.79.0.41 (like Safari/8617.2.4.10.8, panda)",
}
ROBOTS = {
    "WhatsApp/2.23.20.0 A": "WhatsApp",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_11_1) AppleWebKit/601.2.4 (KHTML, like Gecko) Version/9.0.1 "
    "Safari/601.2.4 facebookexternalhit/1.1 Facebot Twitterbot/1.0": "iMessage",
    "facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)": "Facebook",
    "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)": "Slack",
    "TelegramBot (like TwitterBot)": "Telegram",
    "Mozilla/5.0 (Windows NT 6.1; WOW64) SkypeUriPreview Preview/0.5 skype-url-preview@microsoft.com": (
        "Microsoft Teams"
    ),
    "Microsoft-BotFramework/3.1": "Microsoft Teams",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 OneOutlook/1.2023.1": "Outlook",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/42.0.2311.135 "
    "Safari/537.36 Edge/12.246": "Gmail",
    "Viber/13.3.0.5 CFNetwork/1220.1 Darwin/20.3.0": "Viber",
    "Mozilla/5.0 (compatible; Discordbot/2.0; +https://discordapp.com)": "Discordbot",
    "python-requests/2.31": "python-requests",
    "curl/8.1": "curl",
}


@pytest.mark.parametrize("agent", PEOPLE.values(), ids=PEOPLE)
def test_people_are_not_taken_for_robots(agent: str) -> None:
    assert recognise(agent, method="GET") == Visitor(By.BROWSER)


@pytest.mark.parametrize(("agent", "name"), ROBOTS.items(), ids=ROBOTS.values())
def test_robots_are_named(agent: str, name: str) -> None:
    assert recognise(agent, method="GET") == Visitor(By.BOT, name, Why.AGENT)


@pytest.mark.parametrize(
    ("agent", "why"),
    [
        ("", Why.BLANK),
        (" ", Why.BLANK),
        ("x", Why.ODD),
        ("okapi", Why.ODD),
        (CHROME.replace("Chrome", "HeadlessChrome"), Why.HEADLESS),
    ],
)
def test_what_could_be_anything_is_unknown(agent: str, why: Why) -> None:
    assert recognise(agent, method="GET") == Visitor(By.UNKNOWN, None, why)


@pytest.mark.parametrize("name", ["sec-purpose", "purpose", "x-moz"])
def test_a_page_loaded_ahead_was_not_asked_for_by_a_person(name: str) -> None:
    visitor = recognise(CHROME, method="GET", headers={name: "prefetch;prerender"})
    assert visitor == Visitor(By.UNKNOWN, None, Why.AHEAD)
    assert recognise(CHROME, method="GET", headers={name: "x"}) == Visitor(By.BROWSER)


def test_outlook_is_known_by_its_header_under_any_name() -> None:
    visitor = recognise(CHROME, method="GET", headers={"x-native-host": "OneOutlook/1.2023"})
    assert visitor == Visitor(By.BOT, "Outlook", Why.HEADER)


def test_head_is_never_a_person() -> None:
    assert recognise(CHROME, method="HEAD") == Visitor(By.BOT, None, Why.HEAD)


@given(st.text(max_size=300))
def test_no_word_of_the_request_gets_into_the_name(noise: str) -> None:
    name = recognise(f"{noise} WhatsApp/2 4242424242424242", method="GET").bot
    assert name is None or "4242" not in name


@pytest.mark.parametrize(
    ("agent", "kind"),
    [
        (CHROME, Device.DESKTOP),
        (PHONE, Device.MOBILE),
        (f"{ANDROID} Chrome/140.0.0.0 Mobile Safari/537.36", Device.MOBILE),
        (f"{ANDROID} Chrome/140.0.0.0 Safari/537.36", Device.TABLET),
        ("Mozilla/5.0 (iPad; CPU OS 17_4 like Mac OS X) AppleWebKit/605.1.15", Device.TABLET),
        ("", Device.UNKNOWN),
        ("4242424242424242", Device.UNKNOWN),
    ],
)
def test_devices(agent: str, kind: Device) -> None:
    assert device(agent) is kind
