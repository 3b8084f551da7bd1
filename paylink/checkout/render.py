"""Pages as HTML. Every text is English and a message id for gettext; the script gets its texts with the page.

``language`` is one of ``kit.i18n.LANGUAGES`` everywhere here, chosen by ``door.language``.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from functools import cache
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape
from starlette.responses import HTMLResponse

from paylink.checkout.about import About
from paylink.checkout.agents import recognise
from paylink.checkout.amount import AmountField, amount_field
from paylink.checkout.assets import Assets
from paylink.checkout.doors import CONTINUED, state_of
from paylink.checkout.sessions import Visit
from paylink.kit import i18n
from paylink.kit.i18n import N_
from paylink.kit.money import format_amount
from paylink.payments.brands import card_words
from paylink.payments.customer import PageState, PageView
from paylink.psp.base import Psp

# By what name the provider's card fields know a language, where it is not ours.
FIELDS_LANGUAGE: Final = {"zh-Hans": "zh", "zh-Hant": "zh-TW"}
# States that can still change without the customer's doing: the page asks again by itself.
WAITING: Final = frozenset(
    {PageState.IN_PROGRESS, PageState.ELSEWHERE, PageState.CHECKING, PageState.LOCKED, PageState.PAUSED, CONTINUED}
)
# States after which the link itself has ended.
ENDED: Final = frozenset({PageState.PAID, PageState.EXPIRED, PageState.CANCELED})
# Where a report closes the link and disturbs no payment.
REPORTABLE: Final = frozenset({PageState.PAYABLE, PageState.LOCKED, PageState.PAUSED, CONTINUED})
GONE: Final = frozenset({PageState.EXPIRED, PageState.CANCELED})

TEXTS: Final = {
    "processing": N_("Processing your payment. Please keep this page open."),
    "slow": N_("This is taking longer than usual. You do not need to pay again; this page shows the result."),
    "loaderror": N_(
        "The card form could not be loaded. Please check your internet connection, switch off content blockers for "
        "this page, then try again."
    ),
    "offline": N_("We cannot reach the payment service. Please check your internet connection and try again."),
    "unknown": N_(
        "We lost the connection while you were paying. Please wait: this page shows the result as soon as it is "
        "known. Do not pay again."
    ),
    "not_confirmed": N_("The payment was not completed and you have not been charged. Please try again."),
    "invalid": N_("Please check your card details."),
    "retry": N_("Try again"),
    "not_now": N_("This could not be done just now. Please try again in a moment."),
    # By the code of what our own server answered.
    "rate_limited": N_("There were too many tries. Please wait a moment, then try again."),
    "payment_refused": N_("This payment cannot be made. Please contact the merchant."),
}
# Of going on at another device.
AWAY: Final = {
    "scan": N_("Scan this code with your phone's camera. Once the page is open there, this one closes."),
    "code": N_("QR code of this payment page"),
    "email": N_("Your e-mail address"),
    "sms": N_("Your mobile number, with + and country code"),
    "send": N_("Send"),
    "known": N_("Send to {to}"),
    "sent": N_("Sent to {to}. Open the message to go on there; you can also stay here."),
    "wrong": N_("Please check this address."),
    "often": N_("This was sent too often. Please wait a while, or ask the merchant."),
}
UNREACHABLE: Final = N_("We cannot reach this page just now. Please check your internet connection and try again.")


class Renderer:
    """Renders with what is the same for the whole process."""

    def __init__(self, assets: Assets, psp: Psp) -> None:
        self._assets = assets.urls
        self._psp = psp
        self._known = {"assets": assets.urls, "livemode": psp.livemode, "languages": i18n.NAMES}
        self._templates = _templates()

    def entry(self, *, scripted: bool, language: str) -> HTMLResponse:
        """The same for every link: no amount, no name, no reference and no token is in it."""
        texts = {"unreachable": i18n.translator(language).gettext(UNREACHABLE)}
        return self._page("entry.html", language, scripted=scripted, data={"kind": "entry", "texts": texts})

    def not_valid(self, *, language: str) -> HTMLResponse:
        return self._page("message.html", language, status=404, **_message(*NOT_VALID))

    def no_session(self, *, language: str) -> HTMLResponse:
        return self._page("message.html", language, status=403, **_message(*NO_SESSION))

    def failure(self, status: int, headers: Mapping[str, str] | None = None, *, language: str) -> HTMLResponse:
        texts = FAILURES.get(status, BROKEN)
        response = self._page("message.html", language, status=status, **_message(*texts))
        response.headers.update(headers or {})
        return response

    def ended(self, view: PageView, *, named: bool = True, language: str, switch: str | None = None) -> HTMLResponse:
        """For whoever shows the token of a link that has ended, without a session of their own.

        Not ``named``: how it ended, and nothing of who or how much, since a preview is seen by others. ``switch``:
        where a choice of language is sent to, which takes a session.
        """
        status = 410 if view.state in GONE else 200
        shown = {"view": view, "named": named, "switch": switch, "data": {"kind": "ended"}, **_facts(view, language)}
        return self._page("ended.html", language, status=status, **shown)

    def reported(self, view: PageView, *, closed: bool, language: str) -> HTMLResponse:
        """Thanks whoever said that the message looks like fraud. ``closed``: the link is canceled."""
        data = {"kind": "message"}
        return self._page("reported.html", language, view=view, closed=closed, data=data)

    def link(self, view: PageView, visit: Visit, beside: About, *, nonce: str, language: str) -> HTMLResponse:
        """The page of a link as the customer's own session sees it."""
        switch = f"/pay/{view.link_id}/language"
        if view.state in GONE or (view.state is PageState.PAID and not paid_here(view)):
            return self.ended(view, language=language, switch=switch)
        state = state_of(visit, view)
        template = CONTINUED_HERE if state == CONTINUED else TEMPLATES.get(view.state, "waiting.html")
        field = self._amount_field(view, visit, language)
        data = self._data(view, field, nonce, language) | {"state": state, "waiting": state in WAITING}
        if state == PageState.PAYABLE:
            texts = {name: i18n.translator(language).gettext(text) for name, text in AWAY.items()}
            data["away"] = {"script": self._assets["away.js"], "texts": texts}
        shown: dict[str, Any] = {"view": view, "field": field, "switch": switch, "beside": beside, "nonce": nonce}
        shown["report"] = state in REPORTABLE
        return self._page(template, language, data=data, **shown, **_facts(view, language))

    def _amount_field(self, view: PageView, visit: Visit, language: str) -> AmountField | None:
        if view.state is not PageState.PAYABLE:
            return None
        return amount_field(view, self._psp.charging(view.currency), language, draft=visit.draft)

    def _data(self, view: PageView, field: AmountField | None, nonce: str, language: str) -> dict[str, Any]:
        gettext = i18n.translator(language).gettext
        data: dict[str, Any] = {
            "kind": "link",
            "offer": view.offer,
            "base": f"/pay/{view.link_id}",
            "nonce": nonce,
            "texts": {name: gettext(text) for name, text in TEXTS.items()},
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
                "locale": FIELDS_LANGUAGE.get(language, language),
            }
        return data

    def _page(self, template: str, language: str, *, status: int = 200, **values: Any) -> HTMLResponse:
        known = self._known | {
            "scripted": True,
            "switch": None,
            "report": False,
            "language": language,
            "direction": i18n.direction(language),
        }
        page = self._templates.get_template(template).render(known | _speaking(language) | values)
        return HTMLResponse(page, status)


@cache
def _templates() -> Environment:
    """Ready for use: the first customer should not wait for compilers, of currency and crawler patterns neither."""
    made = Environment(
        loader=PackageLoader("paylink.checkout"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.i18n"],
    )
    made.install_null_translations(newstyle=True)  # type: ignore[attr-defined]
    # Letters as they are: escaped, an Arabic one takes six bytes for two.
    made.policies["json.dumps_kwargs"] = {"sort_keys": True, "ensure_ascii": False}
    for name in made.list_templates():
        made.get_template(name)
    for language in i18n.LANGUAGES:
        i18n.translator(language)
    format_amount(1, "GBP")
    recognise("Mozilla/5.0 (", method="GET")
    return made


CONTINUED_HERE: Final = "continued.html"
TEMPLATES: Final = {PageState.PAYABLE: "pay.html", PageState.PAID: "paid.html", PageState.LOCKED: "locked.html"}

NOT_VALID: Final = (
    N_("This link is not valid"),
    N_("Please check that you copied the whole link, or ask whoever sent it for a new one."),
)
NO_SESSION: Final = (
    N_("Please open your link again"),
    N_("For your safety this page closes after a while. Open the link in your message again to see your payment."),
)
BROKEN: Final = (
    N_("Something went wrong"),
    N_("This is our fault, not yours. Please try again in a moment."),
)
FAILURES: Final = {
    404: (N_("Page not found"), N_("Please open the link in your message again.")),
    403: (N_("Please open your link again"), N_("This request did not come from the payment page.")),
    405: (N_("Please open your link again"), N_("This page cannot be used in this way.")),
    413: (N_("Something went wrong"), N_("More was sent than this page takes. Please open your link again.")),
    429: (
        N_("Please wait a moment"),
        N_("There were too many requests from your connection. Please try again in a minute."),
    ),
}


def paid_here(view: PageView) -> bool:
    """Whether this browser's own attempt paid the link: nobody else is told the card."""
    return view.card is not None


def _message(heading: str, text: str) -> dict[str, Any]:
    return {"heading": heading, "text": text, "data": {"kind": "message"}}


def _facts(view: PageView, language: str) -> dict[str, Any]:
    here = view.amount_here if view.amount_here != view.amount else None

    def money(amount: int | None) -> str | None:
        return format_amount(amount, view.currency, i18n.written(language)) if amount else None

    return {
        "amount": money(view.amount),
        "paid": money(view.amount_paid),
        "left": money(view.amount_left),
        "paid_now": money(here),
        "when": _when(view.paid_at, language),
        "card": card_words(view.card, language),
    }


def _when(moment: datetime | None, language: str) -> str | None:
    return i18n.moment(moment, language) if moment else None


def _speaking(language: str) -> dict[str, Callable[..., Markup]]:
    """What ``_("…")`` calls in a template. Whatever is filled into a text is escaped."""
    translations = i18n.translator(language)

    def put(text: str, values: Mapping[str, Any]) -> Markup:
        return escape(text) % {name: i18n.isolated(str(value), language) for name, value in values.items()}

    def gettext(text: str, /, **values: Any) -> Markup:
        return put(translations.gettext(text), values)

    def ngettext(one: str, many: str, count: int, /, **values: Any) -> Markup:
        return put(translations.ngettext(one, many, count), {"num": count, **values})

    return {"gettext": gettext, "ngettext": ngettext}
