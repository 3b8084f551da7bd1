"""The provider's side of the payer's browser: the card frame, the controller frame, and 3-D Secure."""

from collections.abc import Awaitable, Callable
from decimal import Decimal
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from babel.numbers import format_currency, get_currency_precision
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from paylink.config import Settings
from paylink.sandbox import confirm, intents
from paylink.sandbox.errors import StripeError
from paylink.sandbox.pages import origin, page, static_file, stripe_js
from paylink.sandbox.params import decode
from paylink.sandbox.server import StripeApi
from paylink.sandbox.store import Json, Store, Tx

PAID = ("succeeded", "requires_capture", "processing")


class Elements:
    """Pages that only the checkout's origin may frame."""

    def __init__(self, settings: Settings, store: Store, stripe: StripeApi) -> None:
        self._store = store
        self._stripe = stripe
        self._parent = origin(settings.checkout_url)

    def routes(self) -> list[Route]:
        return [
            Route("/stripe.js", stripe_js),
            Route("/elements/card", self._frame("card.html")),
            Route("/elements/controller", self._frame("controller.html")),
            Route("/3ds/{token}", self._challenge, methods=["GET"]),
            Route("/3ds/{token}", self._decide, methods=["POST"]),
            Route("/static/{name}", static_file),
        ]

    def _frame(self, template: str) -> Callable[[Request], Awaitable[Response]]:
        async def frame(_request: Request) -> Response:
            return page(template, csp={"frame-ancestors": self._parent}, parent_origin=self._parent)

        return frame

    async def _challenge(self, request: Request) -> Response:
        token = request.path_params["token"]
        try:
            attempt, intent = await self._store.run(lambda tx: self._load(tx, token))
        except StripeError:
            return self._page("3ds_unknown.html", status=404)
        if attempt["status"] != "pending":
            return self._finished(attempt, intent)
        form_action = "'self'" + (f" {origin(attempt['return_url'])}" if attempt["return_url"] else "")
        alone = bool(attempt["return_url"])
        return self._page("3ds.html", form_action=form_action, amount=money(intent), token=token, alone=alone)

    async def _decide(self, request: Request) -> Response:
        """The form's answer. What the bank says then is in the intent; the page only leads back."""
        token = request.path_params["token"]
        decision = decode(await request.body()).get("decision")
        if decision not in ("approve", "refuse"):
            return self._page("3ds_unknown.html", status=400)
        try:
            attempt, intent = await self._store.run(lambda tx: self._answer(tx, token, approve=decision == "approve"))
        except StripeError:
            return self._page("3ds_unknown.html", status=404)
        return self._finished(attempt, intent)

    def _load(self, tx: Tx, token: str) -> tuple[Json, Json]:
        call = self._stripe.call(tx)
        attempt = confirm.load_attempt(call, token)
        return attempt, intents.load(call, attempt["payment_intent"])

    def _answer(self, tx: Tx, token: str, *, approve: bool) -> tuple[Json, Json]:
        try:
            confirm.authenticate(self._stripe.call(tx), token, approve=approve)
        except StripeError as error:
            if not error.keep_effects:
                raise
        return self._load(tx, token)

    def _finished(self, attempt: Json, intent: Json) -> Response:
        if attempt["return_url"]:
            return RedirectResponse(with_result(attempt["return_url"], intent), 303, {"Referrer-Policy": "no-referrer"})
        return self._page("3ds_done.html")

    def _page(
        self,
        template: str,
        *,
        status: int = 200,
        form_action: str = "'none'",
        amount: str = "",
        token: str = "",
        alone: bool = False,
    ) -> HTMLResponse:
        csp = {"frame-ancestors": self._parent, "form-action": form_action}
        return page(
            template, status=status, csp=csp, parent_origin=self._parent, amount=amount, token=token, alone=alone
        )


def with_result(return_url: str, intent: Json) -> str:
    """The return address with what Stripe adds to it."""
    parts = urlsplit(return_url)
    added = {
        "payment_intent": intent["id"],
        "payment_intent_client_secret": intent["client_secret"],
        "redirect_status": "succeeded" if intent["status"] in PAID else "failed",
    }
    query = urlencode([*parse_qsl(parts.query, keep_blank_values=True), *added.items()])
    return urlunsplit(parts._replace(query=query))


def money(intent: Json) -> str:
    currency = intent["currency"].upper()
    amount = Decimal(intent["amount"]).scaleb(-get_currency_precision(currency))
    return str(format_currency(amount, currency, locale="en_GB"))
