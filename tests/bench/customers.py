"""Customers' browsers at the checkout: each has opened its own link and started to type."""

import asyncio
import json
import re
from dataclasses import dataclass
from typing import Any

import httpx

from tests.bench.http import request
from tests.product import Product

# What one browser can say about its card before the checkout stops telling: see checkout/beacons.
REPEATS = 10
STEPS = [step for _ in range(REPEATS) for step in ("card_entry_completed", "card_entry_invalid")]
BROWSER = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36"


@dataclass(frozen=True, slots=True)
class Customer:
    """``told`` is the number of the link's events so far; the next beacon makes ``told + 1``."""

    link_id: str
    told: int
    path: str
    headers: dict[str, str]

    def beacons(self) -> list[bytes]:
        """Each of these requests appends exactly one event."""
        return [
            request("POST", f"{self.path}/events", self.headers, json.dumps({"step": step}).encode()) for step in STEPS
        ]


async def customers(running: Product, count: int) -> list[Customer]:
    headers = {"Authorization": f"Bearer {running.seed['api_key']}"}
    limits = httpx.Limits(max_connections=8)
    async with (
        httpx.AsyncClient(base_url=running.node.console, headers=headers, trust_env=False, timeout=30) as api,
        httpx.AsyncClient(base_url=running.node.checkout, trust_env=False, timeout=30, limits=limits) as checkout,
    ):
        found: list[Customer] = []
        for start in range(0, count, 8):
            found += await asyncio.gather(*(_customer(api, checkout) for _ in range(start, min(count, start + 8))))
        return found


async def _customer(api: httpx.AsyncClient, checkout: httpx.AsyncClient) -> Customer:
    made = await api.post("/v1/payment_links", json={"amount": 4999, "currency": "GBP"})
    link = made.raise_for_status().json()
    headers = {"User-Agent": BROWSER, "Sec-Fetch-Site": "same-origin", "Content-Type": "application/json"}
    page = await checkout.post(httpx.URL(link["url"]).path, content="{}", headers=headers)
    data = _data(page.raise_for_status().text)
    headers |= {"Cookie": page.headers["set-cookie"].partition(";")[0], "Paylink-Nonce": data["nonce"]}
    checkout.cookies.clear()  # each customer is a browser of their own
    begun = await checkout.post(f"{data['base']}/events", json={"step": "card_entry_started"}, headers=headers)
    begun.raise_for_status()
    told = await api.get(f"/v1/payment_links/{link['id']}/events")
    return Customer(link["id"], len(told.json()["data"]), data["base"], headers)


def _data(html: str) -> dict[str, Any]:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', html, re.DOTALL)
    assert found, "no data in the page"
    return dict(json.loads(found[1]))
