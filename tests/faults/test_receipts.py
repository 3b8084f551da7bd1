"""A node is killed around the moment a payment succeeds: the customer has one receipt, and its events say so once."""

import os
import random
import re
import threading
from pathlib import Path
from typing import Any

import httpx
import pytest

from paylink.config import Settings
from tests.faults.test_sending import told
from tests.product import Node, Product, product
from tests.services import wait_until

ROUNDS = 5 if os.environ.get("PAYLINK_PROVE") == "1" else 1
SECRET_KEY = Settings(_env_file=None).stripe.secret_key
pytestmark = pytest.mark.timeout(120 + 20 * ROUNDS)


def begin(made: Product, email: str) -> tuple[str, str]:
    """A customer who has pressed the button: the link's id, and the provider's of the payment."""
    body = {"amount": 4999, "currency": "GBP", "customer": {"email": email}}
    with made.client() as client:
        link = client.post("/v1/payment_links", json=body).json()
    own = {"Sec-Fetch-Site": "same-origin", "Content-Type": "application/json"}
    with httpx.Client(headers=own, trust_env=False) as browser:
        page = browser.post(link["url"], content="{}")
        nonce = re.search(r'"nonce": ?"([^"]+)"', page.text)
        assert nonce, page.text
        path = f"{made.node.checkout}/pay/{link['id']}/payments"
        started = browser.post(path, content="{}", headers={"Paylink-Nonce": nonce[1]})
    return link["id"], started.json()["client_secret"].partition("_secret")[0]


def confirm(node: Node, psp_id: str) -> None:
    """What the provider's script does in the customer's browser."""
    url = f"{node.sandbox}/v1/payment_intents/{psp_id}/confirm"
    headers = {"Authorization": f"Bearer {SECRET_KEY}"}
    httpx.post(url, data={"payment_method": "pm_card_visa"}, headers=headers, trust_env=False).raise_for_status()


def receipt(made: Product, link_id: str) -> dict[str, Any]:
    with made.client() as client:
        (payment,) = client.get(f"/v1/payment_links/{link_id}/payments").json()["data"]
    return dict(payment["receipt"] or {})


@pytest.mark.parametrize("database", ["sqlite_database", "postgres_database"])
def test_killed_and_started_again_it_sends_one_receipt(
    database: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    chance = random.Random(database)
    with product(tmp_path, request.getfixturevalue(database)) as made:
        for number in range(ROUNDS):
            email = f"customer{number}@example.com"
            link_id, psp_id = begin(made, email)
            confirm(made.node, psp_id)
            cut = threading.Timer(chance.uniform(0, 0.4), made.node.kill)
            cut.start()
            cut.join()
            made.restart(made.node)
            wait_until(
                lambda link_id=link_id: told(made, made.node, link_id)["receipt.sent"] == 1,  # type: ignore[misc]
                what=f"receipt {number} is sent",
                seconds=60,
            )
            (mail,) = made.messages(email)
            assert mail["subject"].startswith("Receipt from ")
            events = told(made, made.node, link_id)
            assert (events["payment.succeeded"], events["link.paid"], events["receipt.failed"]) == (1, 1, 0)
            found = receipt(made, link_id)
            assert (found["channel"], found["status"]) == ("email", "sent")
