"""No more reminders, by one click (RFC 8058): an address in the mail's header that the mail program itself may call.

The token says whose, sealed: nothing is stored for it, and it cannot be turned into another's. GET changes nothing,
since scanners open every address in a mail; the page it shows has a button. POST does it, for the mail program and
for the button alike.
"""

import base64
import binascii
import json
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from functools import partial
from typing import Final

from markupsafe import Markup
from sqlalchemy.orm import Session
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from paylink.accounts.models import Merchant
from paylink.consent import service
from paylink.consent.models import SuppressionReason, SuppressionScope
from paylink.context import Context
from paylink.kit import i18n
from paylink.kit.crypto import Keyring, SealBroken
from paylink.kit.i18n import N_
from paylink.kit.web import client_address
from paylink.limits import CHECKOUT_BY_ADDRESS

PURPOSE: Final = "unsubscribe"
LONGEST_TOKEN: Final = 1500
# What RFC 8058 has the mail program post, as a form of either kind. The button posts the same.
ONE_CLICK: Final = (b"List-Unsubscribe", b"One-Click")

ASK: Final = N_("Stop reminders?")
ASK_MORE: Final = N_("You will get no more reminders from %(merchant)s here. Payment links you ask for still arrive.")
BUTTON: Final = N_("Stop reminders")
DONE: Final = N_("Reminders are stopped")
DONE_MORE: Final = N_("You will get no more reminders here.")
INVALID: Final = N_("This link is not valid")
INVALID_MORE: Final = N_("Please open it again from the message, or ask the merchant.")

_PAGE: Final = Markup(
    '<!doctype html><html lang="{language}" dir="{direction}"><head><meta charset="utf-8">'
    '<meta name="viewport" content="width=device-width, initial-scale=1">'
    '<meta name="robots" content="noindex, nofollow">'
    '<title>{heading}</title><link rel="stylesheet" href="{style}"></head>'
    '<body><main id="main" class="card"><h1>{heading}</h1><p>{text}</p>{more}</main></body></html>'
)
_FORM: Final = Markup(
    '<form method="post"><input type="hidden" name="List-Unsubscribe" value="One-Click">'
    '<button type="submit">{button}</button></form>'
)

Endpoint = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Subject:
    """Who wants no more reminders, from whom."""

    merchant_id: str
    channel: str
    address: str


def unsubscribe_url(keyring: Keyring, checkout_url: str, *, merchant_id: str, channel: str, address: str) -> str:
    """The address for ``List-Unsubscribe`` and for the text of a reminder. It is good for as long as the key is."""
    subject = Subject(merchant_id, channel, address)
    sealed = keyring.seal(json.dumps(asdict(subject)).encode(), purpose=PURPOSE, bound_to=PURPOSE)
    return f"{checkout_url}/unsubscribe/{base64.urlsafe_b64encode(sealed).decode().rstrip('=')}"


def read_token(keyring: Keyring, token: str) -> Subject | None:
    """``None`` for whatever we have not made."""
    if len(token) > LONGEST_TOKEN or not token.isascii():
        return None
    try:
        sealed = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
        return Subject(**json.loads(keyring.unseal(sealed, purpose=PURPOSE, bound_to=PURPOSE)))
    except (SealBroken, binascii.Error, ValueError, TypeError):
        return None


def unsubscribe(session: Session, keyring: Keyring, token: str) -> bool:
    """Stops reminders, once however often it is asked. False for a token that is none of ours."""
    subject = read_token(keyring, token)
    if subject is None or session.get(Merchant, subject.merchant_id) is None:
        return False
    service.suppress(
        session,
        subject.merchant_id,
        subject.channel,
        subject.address,
        scope=SuppressionScope.REMINDERS,
        reason=SuppressionReason.UNSUBSCRIBE,
        by=service.PAYER,
        keyring=keyring,
    )
    return True


def routes(named: Callable[..., Route], *, style: str) -> list[Route]:
    """``named`` makes a route of the application's own kind; ``style``: the address of its style sheet."""
    path = "/unsubscribe/{token:path}"
    return [named(path, partial(_ask, style=style), "GET"), named(path, partial(_do, style=style), "POST")]


async def _ask(request: Request, *, style: str) -> Response:
    ctx = await _context(request)
    subject = read_token(ctx.keyring, request.path_params["token"])
    merchant = None
    if subject is not None:
        merchant = await ctx.db.read(lambda session: session.get(Merchant, subject.merchant_id))
    if merchant is None:
        return _invalid(request, style)
    return _page(request, style, ASK, ASK_MORE, merchant=merchant.name, button=BUTTON)


async def _do(request: Request, *, style: str) -> Response:
    ctx = await _context(request)
    token, body = request.path_params["token"], await request.body()
    if not all(part in body for part in ONE_CLICK):
        return await _ask(request, style=style)
    if not await ctx.db.transact(lambda session: unsubscribe(session, ctx.keyring, token)):
        return _invalid(request, style)
    return _page(request, style, DONE, DONE_MORE)


async def _context(request: Request) -> Context:
    ctx: Context = request.app.state.context
    await ctx.limits.hit(CHECKOUT_BY_ADDRESS, "unsubscribe", client_address(request.scope))
    return ctx


def _invalid(request: Request, style: str) -> Response:
    """The same for every token that is not good, whatever is wrong with it."""
    return _page(request, style, INVALID, INVALID_MORE, status=404)


def _page(
    request: Request,
    style: str,
    heading: str,
    text: str,
    *,
    merchant: str = "",
    button: str | None = None,
    status: int = 200,
) -> Response:
    language = i18n.choose(accept=request.headers.get("accept-language"))
    said = i18n.translator(language).gettext
    page = _PAGE.format(
        language=language,
        direction=i18n.direction(language),
        style=style,
        heading=said(heading),
        text=said(text) % {"merchant": merchant} if merchant else said(text),
        more=_FORM.format(button=said(button)) if button else "",
    )
    return HTMLResponse(page, status)
