"""Headers, cookies in production, what may be loaded, and how much of it."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from paylink.checkout import assets
from paylink.db import Database
from tests.checkout.world import Provider, World, opened_world, settings

POLICY = {
    "default-src": "'none'",
    "script-src": "'self' https://psp.test https://*.psp.test",
    "style-src": "'self'",
    "img-src": "'self' data:",
    "connect-src": "'self' https://api.psp.test",
    "frame-src": "https://psp.test https://*.psp.test",
    "form-action": "'self'",
    "frame-ancestors": "'none'",
    "base-uri": "'none'",
}
# Own HTML, style and script before the provider's script, as bytes and as requests. Uncompressed.
MOST_BYTES = 30 * 1024
MOST_REQUESTS = 4


async def test_every_page_carries_the_whole_policy(world: World) -> None:
    link_id, token = await world.link()
    page = await world.browser().open(token)
    answers = [
        page.response,
        await page.browser.get(f"/p/{token}"),
        await page.browser.get("/p/wrong"),
        await page.browser.get(f"/pay/{link_id}"),
        await page.browser.get(f"/pay/{link_id}/status"),
        await page.browser.get("/nothing"),
        await page.call("events", {"step": "opened"}),
        await page.call("events", {"step": "nonsense"}),
    ]
    for answer in answers:
        sent = dict(one.split(" ", 1) for one in answer.headers["content-security-policy"].split("; "))
        assert sent == POLICY
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-robots-tag"] == "noindex, nofollow"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cross-origin-opener-policy"] == "same-origin-allow-popups"
        assert answer.headers["permissions-policy"].startswith('payment=(self "https://psp.test"), camera=()')
        assert "strict-transport-security" not in answer.headers


async def test_nothing_inline_and_nothing_from_elsewhere(world: World) -> None:
    _, token = await world.link()
    browser = world.browser()
    for html in ((await browser.get(f"/p/{token}")).text, (await browser.open(token)).text):
        assert not re.search(r"<style|\sstyle=|\son\w+=", html)
        assert all("src=" in tag or "application/json" in tag for tag in re.findall(r"<script[^>]*>", html))
        loaded = re.findall(r'(?:src|href)="([^"]+)"', html)
        assert all(address.startswith(("/assets/", "data:image/svg+xml,")) for address in loaded)


async def test_the_page_is_light(world: World) -> None:
    _, token = await world.link()
    browser = world.browser()
    entry = await browser.get(f"/p/{token}")
    own = re.findall(r'(?:src|href)="(/assets/[^"]+)"', entry.text)
    parts = [entry, await browser.post(f"/p/{token}"), *[await browser.get(address) for address in own]]
    assert {part.status_code for part in parts} == {200}
    assert len(parts) <= MOST_REQUESTS
    assert sum(len(part.content) for part in parts) <= MOST_BYTES


async def test_assets_are_kept_for_good_under_a_name_of_their_content(world: World) -> None:
    found = assets.Assets()
    assert set(found.urls) == {"away.js", "checkout.css", "checkout.js", "parts.js"}
    for address in found.urls.values():
        for encoding in ("gzip", "identity"):
            answer = await world.browser().get(address, **{"Accept-Encoding": encoding})
            assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
            assert answer.headers["vary"] == "Accept-Encoding"
            source = (assets.STATIC / re.sub(r"\.[0-9a-f]{16}\.", ".", Path(address).name)).read_text()
            assert answer.text == assets.lean(source)


async def test_production_cookies_and_transport(db: Database) -> None:
    production = settings(
        env="production",
        secret_keys="k" * 40,
        database_url="postgresql://x/y",
        console_url="https://console.test",
        checkout_url="https://checkout.test",
        psp="stripe",
        stripe_secret_key="sk_live_x",
        stripe_publishable_key="pk_live_x",
        stripe_webhook_secret="whsec_x",
    )
    async with opened_world(db, production) as world:
        link_id, token = await world.link()
        page = await world.browser().open(token)
        cookie = page.response.headers["set-cookie"]
        assert cookie.startswith(f"__Host-paylink_pay_{link_id.removeprefix('plink_')}=")
        assert "Secure" in cookie
        assert "Path=/" in cookie
        assert "Domain" not in cookie
        assert page.response.headers["strict-transport-security"] == "max-age=63072000; includeSubDomains"


async def test_test_mode_says_so(world: World, monkeypatch: pytest.MonkeyPatch, db: Database) -> None:
    _, token = await world.link()
    assert "Test mode" in (await world.browser().open(token)).text
    monkeypatch.setattr(Provider, "livemode", True)
    async with opened_world(db, settings()) as live:
        _, token = await live.link()
        assert "Test mode" not in (await live.browser().open(token)).text


def test_the_app_loads_nothing_of_the_console() -> None:
    program = (
        "import sys, paylink.checkout.app;"
        "bad = [n for n in sys.modules if n.startswith(('paylink.accounts.auth', 'paylink.accounts.service',"
        " 'paylink.channels.sandbox', 'paylink.psp.stripe', 'paylink.sandbox', 'webhooks', 'paylink.console'))"
        " or (n.startswith('paylink.') and n.endswith('.routes'))];"
        "print(*bad)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
