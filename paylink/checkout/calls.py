"""What the page's script asks for, in JSON: beacons, an attempt to pay, how it stands.

Each call needs the link's cookie; each one that changes something also the rendering's nonce, a JSON body and proof
that this origin's own page sent it.
"""

from typing import Annotated, Any, Final, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from sqlalchemy.orm import Session
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from paylink.checkout import beacons, doors, sessions
from paylink.checkout.agents import Browser, browser
from paylink.checkout.beacons import Beacon, Step
from paylink.checkout.door import by_cookie, checkout, language
from paylink.checkout.security import NONCE_HEADER, check_nonce, check_own_page, cookie_name
from paylink.checkout.sessions import Visit
from paylink.context import Context
from paylink.errors import BadRequest, Conflict, Forbidden, Invalid, PaylinkError
from paylink.kit import i18n
from paylink.kit.cards import contains_card_number
from paylink.kit.money import MAX_AMOUNT
from paylink.kit.web import client_address
from paylink.limits import BEACONS_BY_SESSION, PAY_BY_ADDRESS, PAY_BY_SESSION
from paylink.payments import customer
from paylink.payments.customer import PageView

# By session and not by address: a phone network puts thousands of customers behind one address.
CALLS_BY_SESSION: Final = BEACONS_BY_SESSION

Form = TypeVar("Form", bound=BaseModel)


class UnsupportedMediaType(PaylinkError):
    status, code, title = 415, "unsupported_media_type", "Unsupported media type"


class Nothing(BaseModel):
    """A body that says nothing: currency and link are never the browser's to name."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Wish(BaseModel):
    """How much the customer would like to pay of a link that takes parts, in minor units; left out, all of it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    amount: Annotated[int, Field(strict=True, gt=0, le=MAX_AMOUNT)] | None = None


async def events(request: Request) -> Response:
    """Takes a beacon: 204, whether it was news or not. One transaction and nothing else: these are many."""
    ctx = checkout(request).context
    link_id: str = request.path_params["link_id"]
    check_own_page(request, ctx.settings)
    secret = request.cookies.get(cookie_name(ctx.settings, link_id))
    if not secret:
        raise no_session()
    check_nonce(ctx.keyring, link_id, request.headers.get(NONCE_HEADER, ""))
    await ctx.limits.hit(BEACONS_BY_SESSION, "beacons", ctx.keyring.digest(secret, purpose=sessions.PURPOSE).hex())
    beacon, kind = await body_of(request, Beacon), _browser(request)

    def work(session: Session) -> None:
        visit = sessions.find(session, ctx.keyring, link_id=link_id, secret=secret)
        if visit is None:
            raise no_session()
        beacons.note(session, visit, beacon, browser=kind)

    await ctx.db.transact(work)
    return Response(status_code=204)


async def payments(request: Request) -> Response:
    """Begins an attempt: ``{"payment_id", "client_secret", "amount", "currency"}``."""
    ctx = checkout(request).context
    visit, view = await visited(ctx, request)
    wish = await body_of(request, Wish)
    if doors.state_of(visit, view) == doors.CONTINUED:
        raise Conflict("This payment goes on at another device", code="continued_elsewhere")
    if wish.amount is not None and view.minimum_amount is None:
        raise Invalid.one("amount", "amount_not_accepted", "This link is paid in one payment")
    address = client_address(request.scope)
    await ctx.limits.hit(PAY_BY_ADDRESS, "pay-address", address)
    await ctx.limits.hit(PAY_BY_SESSION, "pay-session", visit.id)
    # Whoever pays has opened the page and entered a card, even if no beacon came through.
    await _note(ctx, visit, Beacon(step=Step.STARTED), _browser(request))
    started = await customer.start(ctx, link_id=visit.link_id, session_id=visit.id, address=address, amount=wish.amount)
    return JSONResponse(
        {
            "payment_id": started.payment_id,
            "client_secret": started.client_secret,
            "amount": started.amount,
            "currency": started.currency,
        }
    )


async def resume(request: Request) -> Response:
    """``{"client_secret"}`` of this browser's own attempt, for the bank to ask its question again."""
    ctx = checkout(request).context
    visit, _ = await visited(ctx, request)
    await body_of(request, Nothing)
    await ctx.limits.hit(PAY_BY_SESSION, "resume-session", visit.id)
    found = await customer.resume(ctx, link_id=visit.link_id, session_id=visit.id)
    return JSONResponse({"client_secret": found.client_secret})


async def restart(request: Request) -> Response:
    """Ends the attempt that is in the way, if it waits for its customer, then answers as ``status`` does."""
    ctx = checkout(request).context
    visit, _ = await visited(ctx, request)
    await body_of(request, Nothing)
    await ctx.limits.hit(PAY_BY_ADDRESS, "pay-address", client_address(request.scope))
    await ctx.limits.hit(PAY_BY_SESSION, "restart-session", visit.id)
    await customer.give_up(ctx, link_id=visit.link_id, session_id=visit.id)
    return JSONResponse(status_of(request, visit, await _view(ctx, visit)))


async def refresh(request: Request) -> Response:
    """Asks the provider about the link's live attempt, not too often, then answers as ``status`` does."""
    app = checkout(request)
    ctx = app.context
    visit, view = await visited(ctx, request)
    await ctx.limits.hit(CALLS_BY_SESSION, "status", visit.id)
    await body_of(request, Nothing)
    if view.live_id is not None and app.asked.due(view.live_id):
        await customer.refresh(ctx, link_id=visit.link_id)
        view = await _view(ctx, visit)
    return JSONResponse(status_of(request, visit, view))


async def status(request: Request) -> Response:
    """``{"state", "offer", "decline", "card"}`` as this browser may know it; ``amount_left`` where it takes parts."""
    ctx = checkout(request).context
    found = await by_cookie(ctx, request)
    if found is None:
        raise no_session()
    await ctx.limits.hit(CALLS_BY_SESSION, "status", found[0].id)
    return JSONResponse(status_of(request, *found))


async def _view(ctx: Context, visit: Visit) -> PageView:
    return await ctx.db.read(lambda session: customer.view(session, visit.link_id, session_id=visit.id))


async def visited(ctx: Context, request: Request) -> tuple[Visit, PageView]:
    check_own_page(request, ctx.settings)
    found = await by_cookie(ctx, request)
    if found is None:
        raise no_session()
    check_nonce(ctx.keyring, found[0].link_id, request.headers.get(NONCE_HEADER, ""))
    return found


def no_session() -> PaylinkError:
    return Forbidden("Please open your link again", code="no_session")


async def body_of(request: Request, form: type[Form], *, phones: bool = False) -> Form:
    """The body as ``form``. What is wrong with it is not repeated: it could be a card number, in a key or a value.

    ``phones``: a number in it may be a phone's, which can look like a card's; the caller checks every text itself.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise UnsupportedMediaType("The body must be application/json")
    try:
        text = (await request.body()).decode()
    except UnicodeDecodeError:
        raise BadRequest("The body is not JSON", code="invalid_json") from None
    if not phones and contains_card_number(text):
        raise Invalid.one("body", "card_number_not_allowed", "A card number must never be sent here")
    try:
        return form.model_validate_json(text)
    except ValidationError as error:
        if any(one["type"] == "json_invalid" for one in error.errors(include_input=False, include_url=False)):
            raise BadRequest("The body is not JSON", code="invalid_json") from None
        raise Invalid.one("body", "not_understood", "The body holds something that this call does not know") from None


async def _note(ctx: Context, visit: Visit, beacon: Beacon, kind: Browser) -> None:
    await ctx.db.transact(lambda session: beacons.note(session, visit, beacon, browser=kind))


def _browser(request: Request) -> Browser:
    return browser(request.headers.get("user-agent", ""))


def status_of(request: Request, visit: Visit, view: PageView) -> dict[str, Any]:
    texts = i18n.translator(language(request, visit.locale, view.locale))
    decline = texts.gettext(view.decline) if view.decline else None
    found = {"state": doors.state_of(visit, view), "offer": view.offer, "decline": decline, "card": view.card}
    return found if view.minimum_amount is None else {**found, "amount_left": view.amount_left}
