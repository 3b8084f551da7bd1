"""``/v1/payment_links``: make, list, read, follow, send again."""

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request, Response
from fastapi.responses import JSONResponse
from pydantic import AfterValidator
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from paylink import idempotency
from paylink.accounts.auth import Caller
from paylink.accounts.scope import Principal
from paylink.channels import service as accounts
from paylink.channels.base import ChannelName
from paylink.context import Context, Ctx, context_of
from paylink.customers.models import Customer
from paylink.delivery import qr, sending
from paylink.delivery import service as deliveries
from paylink.delivery.schemas import (
    DeliveryIn,
    DeliveryOut,
    Ways,
    delivery_form,
    needs_accounts,
    shows_url,
    wanted,
)
from paylink.delivery.service import Added, Wanted
from paylink.delivery.states import DIRECT
from paylink.errors import NotFound
from paylink.events import log
from paylink.events.types import public_form
from paylink.idempotency import Answer
from paylink.links import service, tokens
from paylink.links.models import LinkStatus
from paylink.links.schemas import CreateLink, EventList, LinkList, LinkOut, link_form, row_of, searchable

router = APIRouter(prefix="/v1/payment_links", tags=["Payment links"])

IdempotencyKey = Annotated[str | None, Header(description="Repeat safely: the same key and body, the same answer")]
QrLevel = Annotated[qr.Level, Query(description="Error correction: `M` for a screen, `Q` for print")]


@router.post("", status_code=201, response_model=LinkOut, summary="Make a payment link and send it")
async def create(
    request: Request, body: CreateLink, caller: Caller, idempotency_key: IdempotencyKey = None
) -> Response:
    ctx = context_of(request)
    new = body.new_link()
    # Without a look at the merchant's accounts, where none is needed: before the transaction, which others wait for.
    sends = None if needs_accounts(body.deliver, carried=_carried(ctx)) else _wanted(body, _ways(ctx))
    key = idempotency.Request.of(idempotency_key, scope=f"{caller.merchant_id}:create_link", body=await request.body())

    def work(session: Session) -> Answer:
        if found := idempotency.replay(session, key, ctx.keyring):
            return found
        body.check_chargeable(ctx.psp.charging(body.currency))
        made = service.create(session, caller, new)
        doors = _wanted(body, _ways(ctx, session, caller)) if sends is None else sends
        added, events = deliveries.add(
            session,
            ctx.jobs,
            ctx.keyring,
            link_id=made.row["id"],
            merchant_id=caller.merchant_id,
            wanted=[Wanted(DIRECT, None), *doors],
            origin=caller.origin,
            later=True,
        )
        log.begin(session, merchant_id=caller.merchant_id, link_id=made.row["id"], events=[made.event, *events])
        form = link_form(
            made.row,
            customer=made.customer,
            deliveries=[_made(session, ctx, one, link=made.row, customer=made.customer) for one in added[1:]],
            url=tokens.url(ctx.settings.checkout_url, added[0].token),
        )
        return idempotency.remember(session, key, ctx.keyring, Answer(201, form))

    return respond(await once(ctx, work, grouped=True))


@router.get("", response_model=LinkList, summary="Find payment links, newest first")
async def search(
    caller: Caller,
    ctx: Ctx,
    status: Annotated[list[LinkStatus], Query()] = [],  # noqa: B006 - FastAPI reads it, nobody writes it
    reference: Annotated[str | None, Query(max_length=200), AfterValidator(searchable)] = None,
    customer: Annotated[str | None, Query(max_length=64)] = None,
    q: Annotated[str | None, Query(max_length=200), AfterValidator(searchable)] = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 25,
    starting_after: Annotated[str | None, Query(max_length=64)] = None,
) -> Response:
    filters = service.Filters(status, reference, customer, q)

    def work(session: Session) -> tuple[list[dict[str, Any]], bool]:
        found, more = service.search(session, caller, filters, limit=limit, starting_after=starting_after)
        people = service.customers_of(session, found)
        sent = deliveries.of_links(session, [link.id for link in found])
        forms = [
            link_form(
                row_of(link),
                customer=people.get(link.customer_id or ""),
                deliveries=[delivery_form(vars(one)) for one in sent[link.id]],
            )
            for link in found
        ]
        return forms, more

    data, more = await ctx.db.read(work)
    return JSONResponse({"object": "list", "data": data, "has_more": more})


@router.get("/{link_id}", response_model=LinkOut, summary="One payment link")
async def get(link_id: str, caller: Caller, ctx: Ctx) -> Response:
    return JSONResponse(await ctx.db.read(lambda session: read_link(session, caller, link_id)))


@router.get("/{link_id}/events", response_model=EventList, summary="The link's timeline, newest first")
async def events(
    link_id: str,
    caller: Caller,
    ctx: Ctx,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
    starting_after: Annotated[str | None, Query(max_length=64)] = None,
    after_seq: Annotated[
        int | None, Query(ge=0, le=2**53, description="What came after this `seq`, oldest first: for catching up")
    ] = None,
) -> Response:
    def work(session: Session) -> list[dict[str, Any]]:
        place = {"merchant_id": caller.merchant_id, "link_id": service.get(session, caller, link_id).id}
        before = log.seq_of(session, **place, event_id=starting_after) if starting_after else None
        if starting_after and before is None:
            raise NotFound("No such event of this payment link")
        rows = log.timeline(session, **place, before_seq=before, after_seq=after_seq, limit=limit + 1)
        return [public_form(row) for row in rows]

    found = await ctx.db.read(work)
    return JSONResponse({"object": "list", "data": found[:limit], "has_more": len(found) > limit})


@router.post("/{link_id}/deliveries", status_code=201, response_model=DeliveryOut, summary="Send it again")
async def deliver(
    request: Request,
    link_id: str,
    body: DeliveryIn,
    caller: Caller,
    ctx: Ctx,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    key = idempotency.Request.of(
        idempotency_key, scope=f"{caller.merchant_id}:deliver:{link_id}", body=await request.body()
    )

    def work(session: Session) -> Answer:
        if found := idempotency.replay(session, key, ctx.keyring):
            return found
        link = service.get(session, caller, link_id)
        person = service.customers_of(session, [link]).get(link.customer_id or "")
        phone, email = (person.phone, person.email) if person else (None, None)
        ways = _ways(ctx, session, caller) if needs_accounts([body], carried=_carried(ctx)) else _ways(ctx)
        send = wanted(body, phone=phone, email=email, field="", ways=ways)
        added = deliveries.add_to_open_link(
            session, ctx.jobs, ctx.keyring, principal=caller, link_id=link_id, wanted=send
        )
        form = _made(session, ctx, added, link=row_of(link), customer=person)
        return idempotency.remember(session, key, ctx.keyring, Answer(201, form))

    return respond(await once(ctx, work))


@router.post(
    "/{link_id}/deliveries/{delivery_id}/withdraw", response_model=DeliveryOut, summary="Let its address open nothing"
)
async def withdraw(
    request: Request,
    link_id: str,
    delivery_id: str,
    caller: Caller,
    ctx: Ctx,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """The page it has opened ends too, unless a payment is on its way there. The link's other addresses stay good."""
    key = idempotency.Request.of(
        idempotency_key, scope=f"{caller.merchant_id}:withdraw:{delivery_id}", body=await request.body()
    )

    def work(session: Session) -> Answer:
        if found := idempotency.replay(session, key, ctx.keyring):
            return found
        gone = deliveries.withdraw(session, ctx.keyring, caller, link_id=link_id, delivery_id=delivery_id)
        return idempotency.remember(session, key, ctx.keyring, Answer(200, delivery_form(vars(gone))))

    return respond(await once(ctx, work))


@router.get(
    "/{link_id}/deliveries/{delivery_id}/qr.svg",
    response_class=Response,
    responses={200: {"content": {"image/svg+xml": {}}}},
    summary="Its QR code, SVG",
)
async def qr_svg(
    link_id: str, delivery_id: str, caller: Caller, ctx: Ctx, level: QrLevel = qr.Level.SCREEN
) -> Response:
    url = await _shown_url(ctx, caller, link_id, delivery_id)
    return _image(qr.svg(url, level=level), "image/svg+xml", name=f"payment-qr-{delivery_id}.svg")


@router.get(
    "/{link_id}/deliveries/{delivery_id}/qr.png",
    response_class=Response,
    responses={200: {"content": {"image/png": {}}}},
    summary="Its QR code, PNG",
)
async def qr_png(
    link_id: str,
    delivery_id: str,
    caller: Caller,
    ctx: Ctx,
    level: QrLevel = qr.Level.SCREEN,
    size: Annotated[
        int | None,
        Query(ge=qr.MIN_SIZE, le=qr.MAX_SIZE, description="Dots on each side; left out, ten to a module"),
    ] = None,
) -> Response:
    url = await _shown_url(ctx, caller, link_id, delivery_id)
    return _image(qr.png(url, level=level, size=size), "image/png", name=f"payment-qr-{delivery_id}.png")


def read_link(session: Session, caller: Principal, link_id: str) -> dict[str, Any]:
    link = service.get(session, caller, link_id)
    customer = service.customers_of(session, [link]).get(link.customer_id or "")
    sent = deliveries.of_links(session, [link.id])[link.id]
    return link_form(row_of(link), customer=customer, deliveries=[delivery_form(vars(one)) for one in sent])


async def once(ctx: Context, work: Any, *, grouped: bool = False) -> Answer:
    """Two requests with one key at the same moment: the loser of the race finds the winner's answer."""
    try:
        answer: Answer = await ctx.db.transact(work, grouped=grouped)
    except IntegrityError:
        answer = await ctx.db.transact(work)
    return answer


def respond(answer: Answer) -> Response:
    headers = {"Cache-Control": "no-store"} | ({"Idempotent-Replayed": "true"} if answer.replayed else {})
    return JSONResponse(answer.body, answer.status, headers)


def _wanted(body: CreateLink, ways: Ways) -> list[Wanted]:
    person = body.customer
    return [
        wanted(
            one,
            phone=person.phone if person else None,
            email=person.email if person else None,
            field=f"deliver.{position}.",
            ways=ways,
        )
        for position, one in enumerate(body.deliver)
    ]


def _carried(ctx: Context) -> Mapping[str, bool]:
    """What is sent without an account: in development the sandbox carries all, in production nobody does."""
    return {} if ctx.settings.production else ctx.channels


def _ways(ctx: Context, session: Session | None = None, caller: Principal | None = None) -> Ways:
    """With a session: what the merchant's accounts carry, too."""
    if session is None or caller is None:
        return Ways(_carried(ctx), _no_account)
    found, merchant_id = accounts.available(session, caller.merchant_id), caller.merchant_id

    def account(channel: str, account_id: str, to: str | None) -> object:
        return accounts.choose(session, merchant_id, channel, account_id=account_id, to=to)

    return Ways({**found, **{name: True for name, on in _carried(ctx).items() if on}}, account)


def _no_account(*_asked: object) -> object:
    raise AssertionError("needs_accounts said that none is asked for")


def _made(
    session: Session, ctx: Context, added: Added, *, link: Mapping[str, Any], customer: Customer | None
) -> dict[str, Any]:
    """A new delivery, with the address and the words that its agent needs to carry it."""
    if not shows_url(added):
        return delivery_form(added.row)
    url = tokens.url(ctx.settings.checkout_url, added.token)
    text = None
    if added.row["channel"] == ChannelName.OTHER:
        text = sending.text_to_paste(session, link=link, customer=customer, url=url, locale=added.row["locale"])
    return delivery_form(added.row, url=url, text=text)


async def _shown_url(ctx: Context, caller: Principal, link_id: str, delivery_id: str) -> str:
    token = await ctx.db.read(
        lambda session: deliveries.shown_token(session, ctx.keyring, caller, link_id=link_id, delivery_id=delivery_id)
    )
    return tokens.url(ctx.settings.checkout_url, token)


def _image(content: bytes, media_type: str, *, name: str) -> Response:
    """``name``: what it is called where somebody saves it."""
    headers = {"Cache-Control": "no-store", "Content-Disposition": f'inline; filename="{name}"'}
    return Response(content, media_type=media_type, headers=headers)
