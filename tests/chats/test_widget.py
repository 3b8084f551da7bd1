"""The widget's script, its page and who may frame it."""

import json
import re

import pytest
from pydantic import ValidationError

from paylink.channels.base import Callback, CallbackRefused, Message
from paylink.channels.webchat import WebChatChannel, WebChatConfig
from paylink.chats.page import TEXTS, ink_on
from paylink.kit.i18n import translator
from tests.chats.world import SITE, World, add_account

LOADER_LIMIT = 3 * 1024


async def test_the_script_is_small_and_may_run_on_any_site(lite: World) -> None:
    answer = await lite.http().get(f"/chat/{lite.account_id}/widget.js")
    assert answer.status_code == 200
    assert len(answer.content) <= LOADER_LIMIT
    assert answer.headers["content-type"].startswith("text/javascript")
    assert answer.headers["cross-origin-resource-policy"] == "cross-origin"
    assert "Accept-Language" in answer.headers["vary"]
    assert '"title": "Acme & Sons"' in answer.text


async def test_only_the_named_sites_may_frame_the_page(lite: World) -> None:
    principal = lite.agent
    several = await lite.write(
        lambda session: add_account(session, lite.ctx, principal, origins=f"{SITE}/\nhttps://shop.example:8443\n\n")
    )
    http = lite.http()
    page = await http.get(f"/chat/{several}/frame")
    policy = page.headers["content-security-policy"]
    assert page.status_code == 200
    assert policy.startswith("default-src 'none'")
    assert f"frame-ancestors {SITE} https://shop.example:8443;" in policy
    assert "unsafe" not in policy
    assert "x-frame-options" not in page.headers
    assert page.headers["cache-control"] == "no-store"
    data = json.loads(re.findall(r'id="data">(.*?)</script>', page.text, re.DOTALL)[0])
    assert data["origins"] == [SITE, "https://shop.example:8443"]
    assert not re.search(r"<script(?![^>]*(src=|application/json))", page.text)
    assert " style=" not in page.text
    for place in re.findall(r'(?:src|href)="(/chat/assets/[^"]+)"', page.text):
        asset = await http.get(place)
        assert asset.status_code == 200
        assert "immutable" in asset.headers["cache-control"]


async def test_without_a_site_there_is_a_clear_page_and_no_chat(lite: World) -> None:
    nowhere = await lite.write(lambda session: add_account(session, lite.ctx, lite.agent, origins=""))
    page = await lite.http().get(f"/chat/{nowhere}/frame")
    assert page.status_code == 403
    assert "This chat is not set up yet" in page.text
    assert "frame-ancestors 'none'" in page.headers["content-security-policy"]
    begun = await lite.http().post(f"/chat/{nowhere}/chats", json={"site": SITE})
    assert (begun.status_code, begun.json()["code"]) == (403, "site_not_allowed")


@pytest.mark.parametrize("account_id", ["chn_0", "x" * 500, "%00", "..%2f", "assets"])
async def test_an_account_that_is_none_has_no_chat(lite: World, account_id: str) -> None:
    http = lite.http()
    for place in ("widget.js", "frame"):
        answer = await http.get(f"/chat/{account_id}/{place}")
        assert answer.status_code == 404
    assert (await http.post(f"/chat/{account_id}/chats", json={"site": SITE})).status_code == 404


async def test_the_page_speaks_the_visitors_language(lite: World) -> None:
    http = lite.http()
    page = await http.get(f"/chat/{lite.account_id}/frame", headers={"Accept-Language": "ar,en;q=0.5"})
    assert '<html lang="ar" dir="rtl">' in page.text
    asked = await http.get(f"/chat/{lite.account_id}/frame?lang=de", headers={"Accept-Language": "ar"})
    assert '<html lang="de" dir="ltr">' in asked.text
    assert translator("de").gettext(TEXTS["send"]) in asked.text


@pytest.mark.parametrize(
    "origins",
    [
        "https://shop.example/path",
        "http://shop.example",
        "https://*.shop.example",
        "https://shop.example; script-src *",
        "https://shop.example 'unsafe-inline'",
        "https://user@shop.example",
        "shop.example",
        "https://",
        "javascript:alert(1)",
        "\n".join(f"https://s{n}.example" for n in range(21)),
    ],
)
def test_what_is_no_origin_is_refused(origins: str) -> None:
    with pytest.raises(ValidationError):
        WebChatConfig(title="Acme", origins=origins)


def test_an_origin_is_kept_as_browsers_write_it() -> None:
    config = WebChatConfig(
        title="Acme", origins=" HTTPS://Shop.Example:443/ \nhttps://shop.example\nhttp://localhost:8080"
    )
    assert config.origins.splitlines() == ["https://shop.example", "http://localhost:8080"]


@pytest.mark.parametrize("accent", ["red", "#fff", "#12345g", "#175cd3;}", "url(x)"])
def test_what_is_no_colour_is_refused(accent: str) -> None:
    with pytest.raises(ValidationError):
        WebChatConfig(title="Acme", accent=accent)


def test_the_text_on_the_accent_can_be_read() -> None:
    assert (ink_on("#175cd3"), ink_on("#ffdd00"), ink_on("#000000"), ink_on("#ffffff")) == (
        "#fff",
        "#000",
        "#fff",
        "#000",
    )


async def test_the_channel_hands_over_and_hears_no_callbacks() -> None:
    handed: list[Message] = []

    async def poster(message: Message) -> str:
        handed.append(message)
        return "msg_1"

    channel = WebChatChannel(WebChatConfig(title="Acme"), callback_url="", poster=poster)
    message = Message(id="dlv_1", channel="chat", to="cht_1", text="Hello")
    assert await channel.send(message) == "msg_1"
    assert handed == [message]
    with pytest.raises(CallbackRefused):
        channel.parse_callback(Callback("POST", "", {}, {}, b"{}"))
