"""What the customer asks for beside paying: to go on at another device or by another message, to come back, another
language, and to report a message that looks like fraud.

The page's script sends JSON; "Continue here instead" and the report are plain forms, too, which carry the rendering's
nonce in a field, and lead to a page.
"""

from dataclasses import replace
from enum import StrEnum
from typing import Annotated, Any, Final, Literal, TypeVar
from urllib.parse import parse_qsl

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from sqlalchemy.orm import Session
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from paylink.checkout import about, doors, sessions, switching
from paylink.checkout.calls import Nothing, body_of, no_session, status_of, visited
from paylink.checkout.door import by_cookie, checkout, language
from paylink.checkout.security import NONCE_HEADER, check_nonce, check_not_foreign, check_own_page
from paylink.checkout.sessions import Visit
from paylink.context import Context
from paylink.delivery import qr
from paylink.errors import Invalid
from paylink.kit import i18n
from paylink.kit.web import client_address
from paylink.limits import (
    MOVES_BY_SESSION,
    SWITCHES_BY_ADDRESS,
    SWITCHES_BY_LINK,
    SWITCHES_BY_SESSION,
)
from paylink.links import tokens
from paylink.payments import customer
from paylink.payments.closing import cancel_idle
from paylink.payments.customer import PageView

FORM_FIELDS: Final = 5

Form = TypeVar("Form", bound=BaseModel)


class Reason(StrEnum):
    """A closed list: a free text could hold the very address that it complains of."""

    UNEXPECTED = "unexpected"
    UNKNOWN_SENDER = "unknown_sender"
    OTHER = "other"


class Switch(BaseModel):
    """``to`` left out: the address that the merchant has of this customer."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    by: Literal["qr", "email", "sms"]
    to: Annotated[str, Field(max_length=254)] | None = None


class Language(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    locale: Annotated[str, Field(max_length=35)]


class Report(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    reason: Reason | None = None


async def switch(request: Request) -> Response:
    """Makes a new door to the link. ``{"by", "to"}``, with ``to`` all but hidden; for ``qr``, ``svg`` in its place."""
    ctx = checkout(request).context
    visit, view = await visited(ctx, request)
    wish = await body_of(request, Switch, phones=True)
    await ctx.limits.hit(SWITCHES_BY_SESSION, "switch-session", visit.id)
    await ctx.limits.hit(SWITCHES_BY_LINK, "switch-link", visit.link_id)
    await ctx.limits.hit(SWITCHES_BY_ADDRESS, "switch-address", client_address(request.scope))
    typed = switching.checked(wish.by, wish.to)
    spoken = language(request, visit.locale, view.locale)
    added = await ctx.db.transact(
        lambda session: switching.new_door(session, ctx, visit, by=wish.by, to=typed, locale=spoken)
    )
    if wish.by != "qr":
        return JSONResponse({"by": wish.by, "to": about.hide(added.row["address"])})
    drawn = qr.svg(tokens.url(ctx.settings.checkout_url, added.token))
    return JSONResponse({"by": wish.by, "svg": drawn.decode()})


async def here(request: Request) -> Response:
    """Goes on at this page, and leaves the others. Answers as ``status`` does; a form is sent back to the page."""
    ctx = checkout(request).context
    visit, _, _ = await _asked(ctx, request, Nothing)

    def work(session: Session) -> PageView:
        doors.come_back(session, visit)
        return customer.view(session, visit.link_id, session_id=visit.id)

    view = await ctx.db.transact(work)
    if not _is_json(request):
        return RedirectResponse(f"/pay/{visit.link_id}", 303)
    return JSONResponse(status_of(request, replace(visit, superseded=False), view))


async def speak(request: Request) -> Response:
    """The page in another language, from now on and at the customer's next device. 204, or back to the page."""
    ctx = checkout(request).context
    visit, _, form = await _asked(ctx, request, Language, nonce=False)
    spoken = i18n.match(form.locale)
    if spoken is None:
        raise Invalid.one("locale", "locale_unknown", "This page is not written in that language")
    await ctx.db.transact(lambda session: sessions.keep(session, visit, locale=spoken))
    return Response(status_code=204) if _is_json(request) else RedirectResponse(f"/pay/{visit.link_id}", 303)


async def report(request: Request) -> Response:
    """Tells the agent, and closes the link unless somebody is paying it or has. ``{"canceled"}``, or a page."""
    ctx = checkout(request).context
    visit, view, form = await _asked(ctx, request, Report)
    reason = form.reason or Reason.OTHER
    canceled = await ctx.db.transact(lambda session: _report(session, visit, reason))
    if _is_json(request):
        return JSONResponse({"canceled": canceled})
    spoken = language(request, visit.locale, view.locale)
    return checkout(request).renderer.reported(view, closed=canceled, language=spoken)


def _report(session: Session, visit: Visit, reason: Reason) -> bool:
    """Both facts in one transaction, the report first."""
    switching.report(session, visit, reason=reason.value)
    return cancel_idle(session, visit.link_id, by="customer")


async def _asked(
    ctx: Context, request: Request, form: type[Form], *, nonce: bool = True
) -> tuple[Visit, PageView, Form]:
    """Who asks for what, by script or by a plain form, and how the link stands for them."""
    if _is_json(request):
        check_own_page(request, ctx.settings)
        asked, sent = await body_of(request, form), request.headers.get(NONCE_HEADER, "")
    else:
        check_not_foreign(request)
        asked, sent = await _fields(request, form)
    found = await by_cookie(ctx, request)
    if found is None:
        raise no_session()
    if nonce:
        check_nonce(ctx.keyring, found[0].link_id, sent)
    await ctx.limits.hit(MOVES_BY_SESSION, "moves", found[0].id)
    return *found, asked


async def _fields(request: Request, form: type[Form]) -> tuple[Form, str]:
    """The fields of a form that a browser sent, and its nonce."""
    try:
        text = (await request.body()).decode()
        sent: dict[str, Any] = dict(parse_qsl(text, max_num_fields=FORM_FIELDS))
        nonce = sent.pop("nonce", "")
        return form.model_validate({name: value for name, value in sent.items() if value}), nonce
    except (UnicodeDecodeError, ValidationError, ValueError):
        raise Invalid.one("body", "not_understood", "The form holds something that this page does not know") from None


def _is_json(request: Request) -> bool:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower() == "application/json"
