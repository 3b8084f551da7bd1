"""Pages as HTML. Every text is English and a message id for gettext; the script gets its texts with the page."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from babel.dates import format_datetime
from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.responses import HTMLResponse

from paylink.checkout.agents import recognise
from paylink.checkout.amount import AmountField, amount_field
from paylink.checkout.assets import Assets
from paylink.kit.money import format_amount
from paylink.payments.brands import card_words
from paylink.payments.customer import PageState, PageView
from paylink.psp.base import Psp

LANGUAGE: Final = "en"
# States that can still change without the customer's doing: the page asks again by itself.
WAITING: Final = frozenset(
    {PageState.IN_PROGRESS, PageState.ELSEWHERE, PageState.CHECKING, PageState.LOCKED, PageState.PAUSED}
)
# States after which the link itself has ended.
ENDED: Final = frozenset({PageState.PAID, PageState.EXPIRED, PageState.CANCELED})
GONE: Final = frozenset({PageState.EXPIRED, PageState.CANCELED})

TEXTS: Final = {
    "processing": "Processing your payment. Please keep this page open.",
    "slow": "This is taking longer than usual. You do not need to pay again; this page shows the result.",
    "loaderror": "The card form could not be loaded. Please check your internet connection, switch off content "
    "blockers for this page, then try again.",
    "offline": "We cannot reach the payment service. Please check your internet connection and try again.",
    "unknown": "We lost the connection while you were paying. Please wait: this page shows the result as soon as it "
    "is known. Do not pay again.",
    "not_confirmed": "The payment was not completed and you have not been charged. Please try again.",
    "invalid": "Please check your card details.",
    "retry": "Try again",
    "not_now": "This could not be done just now. Please try again in a moment.",
}


class Renderer:
    """Renders with what is the same for the whole process."""

    def __init__(self, assets: Assets, psp: Psp) -> None:
        self._assets = assets.urls
        self._psp = psp
        self._environment = Environment(
            loader=PackageLoader("paylink.checkout"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            extensions=["jinja2.ext.i18n"],
        )
        self._environment.install_null_translations(newstyle=True)  # type: ignore[attr-defined]
        self._environment.globals |= {"assets": assets.urls, "livemode": psp.livemode, "language": LANGUAGE}
        self._warm_up()

    def _warm_up(self) -> None:
        """The first customer should not wait for compilers: templates, currency patterns, crawler patterns."""
        for name in self._environment.list_templates():
            self._environment.get_template(name)
        format_amount(1, "GBP")
        recognise("Mozilla/5.0 (", method="GET")

    def entry(self, *, scripted: bool) -> HTMLResponse:
        """The same for every link: no amount, no name, no reference and no token is in it."""
        return self._page("entry.html", scripted=scripted, data={"kind": "entry"})

    def not_valid(self) -> HTMLResponse:
        return self._page("message.html", status=404, **_message(*NOT_VALID))

    def no_session(self) -> HTMLResponse:
        return self._page("message.html", status=403, **_message(*NO_SESSION))

    def failure(self, status: int, headers: Mapping[str, str] | None = None) -> HTMLResponse:
        texts = FAILURES.get(status, BROKEN)
        response = self._page("message.html", status=status, **_message(*texts))
        response.headers.update(headers or {})
        return response

    def ended(self, view: PageView, *, named: bool = True) -> HTMLResponse:
        """For whoever shows the token of a link that has ended, without a session of their own.

        Not ``named``: how it ended, and nothing of who or how much, since a preview is seen by others.
        """
        status = 410 if view.state in GONE else 200
        data = {"kind": "ended"}
        return self._page("ended.html", status=status, view=view, named=named, data=data, **_facts(view))

    def link(self, view: PageView, *, nonce: str) -> HTMLResponse:
        """The page of a link as the customer's own session sees it."""
        if view.state in GONE or (view.state is PageState.PAID and not paid_here(view)):
            return self.ended(view)
        template = TEMPLATES.get(view.state, "waiting.html")
        field = self._amount_field(view)
        return self._page(template, view=view, field=field, data=self._data(view, field, nonce), **_facts(view))

    def _amount_field(self, view: PageView) -> AmountField | None:
        if view.state is not PageState.PAYABLE:
            return None
        return amount_field(view, self._psp.charging(view.currency))

    def _data(self, view: PageView, field: AmountField | None, nonce: str) -> dict[str, Any]:
        data: dict[str, Any] = {
            "kind": "link",
            "state": view.state.value,
            "waiting": view.state in WAITING,
            "offer": view.offer,
            "base": f"/pay/{view.link_id}",
            "nonce": nonce,
            "texts": TEXTS,
        }
        if view.minimum_amount is not None:
            data["amount_left"] = view.amount_left
        if field is not None:
            data["parts"] = {**field.data, "script": self._assets["parts.js"]}
        if view.state in {PageState.PAYABLE, PageState.IN_PROGRESS}:
            charging = self._psp.charging(view.currency)
            data |= {
                "shift": charging.shift if charging else 0,
                "attempted": view.payment_id is not None,
                "amount": view.amount,
                "currency": view.currency,
                "key": self._psp.browser.publishable_key,
                "script": self._psp.browser.script_url,
            }
        return data

    def _page(self, template: str, *, status: int = 200, **values: Any) -> HTMLResponse:
        values.setdefault("scripted", True)
        return HTMLResponse(self._environment.get_template(template).render(**values), status)


TEMPLATES: Final = {PageState.PAYABLE: "pay.html", PageState.PAID: "paid.html", PageState.LOCKED: "locked.html"}

NOT_VALID: Final = (
    "This link is not valid",
    "Please check that you copied the whole link, or ask whoever sent it for a new one.",
)
NO_SESSION: Final = (
    "Please open your link again",
    "For your safety this page closes after a while. Open the link in your message again to see your payment.",
)
BROKEN: Final = (
    "Something went wrong",
    "This is our fault, not yours. Please try again in a moment.",
)
FAILURES: Final = {
    404: ("Page not found", "Please open the link in your message again."),
    403: ("Please open your link again", "This request did not come from the payment page."),
    405: ("Please open your link again", "This page cannot be used in this way."),
    413: ("Something went wrong", "More was sent than this page takes. Please open your link again."),
    429: ("Please wait a moment", "There were too many requests from your connection. Please try again in a minute."),
}


def paid_here(view: PageView) -> bool:
    """Whether this browser's own attempt paid the link: nobody else is told the card."""
    return view.card is not None


def _message(heading: str, text: str) -> dict[str, Any]:
    return {"heading": heading, "text": text, "data": {"kind": "message"}}


def _facts(view: PageView) -> dict[str, Any]:
    here = view.amount_here if view.amount_here != view.amount else None
    return {
        "amount": format_amount(view.amount, view.currency),
        "paid": format_amount(view.amount_paid, view.currency) if view.amount_paid else None,
        "left": format_amount(view.amount_left, view.currency),
        "paid_now": format_amount(here, view.currency) if here else None,
        "when": _when(view.paid_at),
        "card": card_words(view.card),
    }


def _when(moment: datetime | None) -> str | None:
    return format_datetime(moment, "d MMMM y, HH:mm 'UTC'", locale="en_GB") if moment else None
