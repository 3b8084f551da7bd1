"""No card number, no security code's neighbour, no link token and no key is left anywhere: looked for in raw bytes."""

import base64
import re
from collections.abc import Iterator

import httpx

from tests.e2e.conftest import Visit
from tests.e2e.databases import everything_written
from tests.e2e.shop import PAID, Shop, new_phone, token_of
from tests.e2e.test_story import make_link, sign_in

DECLINED = "4000000000000002"
AUTHENTICATED = "4000002500003155"
ELEVATED = "4000000000009235"
CARDS = [PAID, DECLINED, AUTHENTICATED, ELEVATED]
ANSWERS = ["/v1/payment_links", "/v1/me", "/metrics", "/openapi.json"]


def test_what_was_typed_and_handed_out_is_nowhere_on_disk_nor_on_the_line(shop: Shop, visit: Visit) -> None:
    to = new_phone()
    agent = visit(f"{shop.watch_on.console}/", expecting={401})
    sign_in(agent.page, shop)
    make_link(agent.page, to)
    link_id = agent.page.url.rpartition("/")[2]

    customer = visit(shop.message_url(to))
    customer.pay(DECLINED)
    shop.stream.wait_for(link_id, "payment.failed")
    customer.pay(AUTHENTICATED)
    customer.answer_3ds("Approve")
    customer.heading("Payment complete")
    shop.stream.wait_for(link_id, "link.paid")

    link = shop.link(deliver=[{"channel": "qr"}])
    held = visit(link.url)
    held.pay(ELEVATED)
    held.heading("We are checking your payment")
    shop.post(f"/v1/payments/{shop.payments(link.id)[-1]['id']}/approve")
    held.heading("Payment complete")
    another = shop.post(f"/v1/payment_links/{shop.link().id}/deliveries", {"channel": "chat"})
    shop.secrets.append(token_of(another["url"]))
    shop.answers.pop()  # this answer hands its url out
    mistaken(shop, link.url)

    for path in [*ANSWERS, f"/v1/payment_links/{link_id}", f"/v1/payment_links/{link_id}/events"]:
        shop.call("GET", path)
    shop.pages += [agent.page.content(), customer.page.content()]
    secrets = [*shop.secrets, shop.product.seed["agent"]["password"], *cookies(agent.context.cookies())]
    patterns = [*map(card_pattern, CARDS), *map(secret_pattern, secrets)]
    places = [*everything_written(shop), *said(shop)]
    # That the search finds what is there at all.
    assert any(AUTHENTICATED[-4:].encode() in content for _, content in places)
    assert any(link_id.encode() in content for name, content in places if "paylink" in name or "pg_dump" in name)
    found = [(name, pattern.pattern) for name, content in places for pattern in patterns if pattern.search(content)]
    # The sandbox is the customer's telephone: the message in its inbox holds the link, as it must.
    assert [one for one in found if not (one[0].startswith("sandbox.db") and is_token(one[1], shop))] == []


def test_the_search_finds_what_it_looks_for() -> None:
    for hidden in (PAID, "4242 4242 4242 4242", "4242-4242-4242-4242", "x4242\x004242\x004242\x004242"):
        assert card_pattern(PAID).search(f"before {hidden} after".encode())
    for offset in range(3):
        assert card_pattern(PAID).search(base64.b64encode(b"x" * offset + PAID.encode() + b"yy"))
        assert secret_pattern("s3cret-s3cret-s3cret").search(base64.b64encode(b"x" * offset + b"s3cret-s3cret-s3cret"))
    assert card_pattern(PAID).search(PAID.encode().hex().encode())
    assert card_pattern(PAID).search(PAID.encode("utf-16-le"))
    assert not card_pattern(PAID).search(b"4242 and 424242 and 4242424242424241")


def mistaken(shop: Shop, url: str) -> None:
    """People and programs put things where they do not belong."""
    token = token_of(url)
    for address, body in (
        (f"{shop.pay_on.checkout}/p/{token}?card={DECLINED}", {"card": DECLINED}),
        (f"{shop.pay_on.checkout}/pay/{PAID}", {"step": PAID}),
        (f"{shop.watch_on.console}/v1/payment_links", {"amount": PAID, "currency": "GBP", "description": DECLINED}),
        (f"{shop.watch_on.console}/webhooks/psp/sandbox", {"card": PAID}),
        (f"{shop.watch_on.console}/v1/sessions", {"email": f"{PAID}@demo.example", "password": "wrong"}),
    ):
        headers = {"Authorization": f"Bearer {shop.product.seed['api_key']}"}
        shop.answers.append(httpx.post(address, json=body, headers=headers, trust_env=False).content)
        shop.answers.append(httpx.get(address, trust_env=False).content)


def said(shop: Shop) -> Iterator[tuple[str, bytes]]:
    """What went over the line to agents and programs."""
    yield "the stream", bytes(shop.stream.raw)
    for number, answer in enumerate(shop.answers):
        yield f"answer {number}", answer
    for number, page in enumerate(shop.pages):
        yield f"page {number}", page.encode()


def cookies(found: list[dict[str, str]]) -> list[str]:
    return [cookie["value"] for cookie in found if len(cookie["value"]) > 16]


def is_token(pattern: bytes, shop: Shop) -> bool:
    return any(secret_pattern(token).pattern == pattern for token in shop.secrets[1:])


def card_pattern(number: str) -> "re.Pattern[bytes]":
    """The number with anything small between its digits, or in base 64 or as hexadecimal."""
    plain = rb"[\s\x00._-]{0,2}".join(re.escape(digit.encode()) for digit in number)
    return re.compile(b"|".join([plain, number.encode().hex().encode(), *in_base64(number)]))


def secret_pattern(secret: str) -> "re.Pattern[bytes]":
    return re.compile(b"|".join([re.escape(secret.encode()), *in_base64(secret)]))


def in_base64(text: str) -> list[bytes]:
    """As it reads inside a longer encoded text: three forms, by where it begins; both alphabets."""
    forms = []
    for offset in range(3):
        raw = b"\x00" * offset + text.encode()
        whole = base64.b64encode(raw[: len(raw) // 3 * 3])
        inner = whole[(offset + 2) // 3 * 4 if offset else 0 :]
        forms += [re.escape(inner), re.escape(inner.translate(bytes.maketrans(b"+/", b"-_")))]
    return forms
