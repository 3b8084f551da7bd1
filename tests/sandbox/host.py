"""A shop's page with a Payment Element on an origin of its own, under a policy as strict as the checkout's."""

import asyncio

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from .harness import Box

PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Shop</title>
<link rel="icon" href="data:,">
<meta name="viewport" content="width=device-width, initial-scale=1">
<script src="{sandbox}/stripe.js" defer></script><script src="/shop.js" defer></script></head>
<body data-key="{key}"><h1>Shop</h1><div id="element"></div><button id="pay">Pay £49.99</button>
<p id="result" role="status"></p></body></html>"""

SCRIPT = """
const events = (window.seen = []);
const stripe = Stripe(document.body.dataset.key);
const theme = new URLSearchParams(location.search).get("theme") || undefined;
const redirect = new URLSearchParams(location.search).get("redirect") || "if_required";
const options = { mode: "payment", amount: 4999, currency: "gbp", captureMethod: "manual", appearance: { theme } };
const elements = stripe.elements(options);
const element = elements.create("payment", { layout: "tabs" });
for (const name of ["ready", "focus", "blur", "change", "loaderror"]) {
  element.on(name, (event) => events.push({ name, event }));
}
element.mount("#element");
const result = document.getElementById("result");
document.getElementById("pay").addEventListener("click", async () => {
  result.textContent = "…";
  const { error: invalid } = await elements.submit();
  if (invalid) return void (result.textContent = `${invalid.type}:${invalid.code}:${invalid.message}`);
  const { client_secret: clientSecret } = await (await fetch("/intent", { method: "POST" })).json();
  window.clientSecret = clientSecret;
  const confirmParams = { return_url: location.origin + "/back" };
  const { error, paymentIntent } = await stripe.confirmPayment({ elements, clientSecret, confirmParams, redirect });
  window.answer = error || paymentIntent;
  result.textContent = error ? `${error.type}:${error.code}:${error.decline_code || ""}` : paymentIntent.status;
});
window.stripeUnderTest = stripe;
"""


def shop(box: Box, *, amount: int = 4999) -> Starlette:
    async def page(_: Request) -> Response:
        policy = (
            f"default-src 'none'; img-src data:; script-src 'self' {box.url}; style-src 'self'; frame-src {box.url}; "
            "connect-src 'self'; base-uri 'none'; form-action 'none'"
        )
        html = PAGE.format(sandbox=box.url, key=box.settings.stripe.publishable_key)
        return HTMLResponse(html, headers={"Content-Security-Policy": policy})

    async def script(_: Request) -> Response:
        return Response(SCRIPT, media_type="text/javascript")

    async def intent(_: Request) -> Response:
        made = await asyncio.to_thread(
            box.stripe.v1.payment_intents.create,
            {
                "amount": amount,
                "currency": "gbp",
                "capture_method": "manual",
                "automatic_payment_methods": {"enabled": True},
            },
        )
        return JSONResponse({"client_secret": made.client_secret})

    async def back(_: Request) -> Response:
        return HTMLResponse(
            '<!doctype html><title>Back</title><link rel="icon" href="data:,"><h1>Back in the shop</h1>'
        )

    return Starlette(
        routes=[
            Route("/", page),
            Route("/shop.js", script),
            Route("/intent", intent, methods=["POST"]),
            Route("/back", back),
        ]
    )
