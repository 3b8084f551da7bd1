"""The whole way once, by a worker: refused by one channel, sent by the next, and told on the timeline."""

from pathlib import Path

from tests.product import product
from tests.services import wait_until

# The sandbox's carrier refuses numbers that end so.
REFUSED = "+447700900001"


def test_a_refused_text_becomes_an_e_mail(sqlite_database: str, tmp_path: Path) -> None:
    with product(tmp_path, sqlite_database) as made, made.client() as http:
        wish = {"channel": "sms", "to": REFUSED, "fallback": [{"channel": "email", "to": "ann@example.com"}]}
        body = {"amount": 4999, "currency": "GBP", "customer": {"locale": "de"}, "deliver": [wish]}
        link = http.post("/v1/payment_links", json=body).raise_for_status().json()
        wait_until(lambda: made.messages("ann@example.com"), what="the e-mail is there", seconds=30)
        (mail,) = made.messages("ann@example.com")
        assert (mail["channel"], made.messages(REFUSED)) == ("email", [])

        def deliveries() -> list[dict[str, object]]:
            return list(http.get(f"/v1/payment_links/{link['id']}").json()["deliveries"])

        wait_until(lambda: deliveries()[-1]["status"] == "delivered", what="it is reported", seconds=30)
        text, email = deliveries()
        assert (text["status"], email["channel"], email["provider"]) == ("failed", "email", "sandbox")
        assert (email["fallback_of"], email["fallback_reason"]) == (text["id"], text["failure_reason"])
        assert (email["locale"], email["attempts"], text["attempts"]) == ("de", 1, 1)
        told = http.get(f"/v1/payment_links/{link['id']}/events", params={"after_seq": 1}).json()["data"]
        assert [event["type"].removeprefix("delivery.") for event in told] == [
            *("queued", "failed"),
            *("queued", "sent", "delivered"),
        ]
