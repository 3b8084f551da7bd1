"""``/v1/channels``, ``/v1/channel_providers``, ``/v1/channel_accounts``: what a merchant can send by, and by whom.

An account holds a provider's secrets and decides where a customer's messages go: only people change it, never the key
of a CRM or a bot.
"""

import asyncio
from collections.abc import Mapping
from typing import Annotated, Any, Final

import sqlalchemy as sa
import structlog
from fastapi import APIRouter, Path, Request, Response
from fastapi.responses import JSONResponse
from sqlalchemy.orm import Session

from paylink import idempotency
from paylink.accounts import service as merchants
from paylink.accounts.auth import Caller, CallingAgent
from paylink.accounts.scope import Principal
from paylink.channels import outside, service
from paylink.channels.base import ChannelError, ChannelName, DeliveryStatus, Message
from paylink.channels.fields import merged
from paylink.channels.models import ChannelAccount
from paylink.channels.providers import PROVIDERS, Provider
from paylink.channels.schemas import (
    AccountChange,
    AccountIn,
    AccountList,
    AccountOut,
    ChannelWaysList,
    ProviderList,
    TestIn,
    TestOut,
    account_form,
    provider_form,
)
from paylink.channels.switchboard import Switchboard
from paylink.chats.models import Chat
from paylink.consent import service as consent
from paylink.context import Context, Ctx
from paylink.delivery.models import Delivery, Purpose
from paylink.delivery.schemas import checked_address
from paylink.errors import Conflict, FieldError, Invalid
from paylink.idempotency import Answer
from paylink.kit.crypto import SealBroken
from paylink.kit.ids import new_id
from paylink.limits import TEST_SENDS
from paylink.links.routes import IdempotencyKey, once, respond

log = structlog.get_logger(__name__)
router = APIRouter(prefix="/v1", tags=["Channels"])

AccountId = Annotated[str, Path(max_length=64)]
# An agent waits for it: longer than the adapters' own time-outs, shorter than a browser's patience.
TEST_TIMEOUT_S: Final = 25.0


@router.get("/channels", response_model=ChannelWaysList, summary="What this merchant can send by now")
async def channels(caller: Caller, ctx: Ctx) -> Response:
    found = await ctx.db.read(lambda session: service.all_of(session, caller.merchant_id))
    working = [account for account in found if account.disabled_at is None]
    data = [
        {
            "channel": name.value,
            "available": ctx.channels.get(name, False) or any(one.channel == name for one in working),
            "by_hand": name in service.BY_HAND,
            "accounts": [
                {"id": one.id, "name": one.name, "provider": one.provider} for one in working if one.channel == name
            ],
        }
        for name in ChannelName
    ]
    return _list(data)


@router.get("/channel_providers", response_model=ProviderList, summary="Providers, and what each needs to know")
async def providers(caller: Caller) -> Response:
    return _list([provider_form(provider) for provider in PROVIDERS.values()])


@router.get("/channel_accounts", response_model=AccountList, summary="Accounts with providers, in their order")
async def accounts(caller: Caller, ctx: Ctx) -> Response:
    found = await ctx.db.read(lambda session: service.all_of(session, caller.merchant_id))
    return _list([_form(ctx, account) for account in found])


@router.post("/channel_accounts", status_code=201, response_model=AccountOut, summary="Add an account")
async def add(
    request: Request, body: AccountIn, caller: CallingAgent, ctx: Ctx, idempotency_key: IdempotencyKey = None
) -> Response:
    provider = _provider(body.provider)
    config = await _checked(request, provider, body.config)
    scope = f"{caller.merchant_id}:add_channel_account"
    key = idempotency.Request.of(idempotency_key, scope=scope, body=await request.body())

    def work(session: Session) -> Answer:
        if found := idempotency.replay(session, key, ctx.keyring):
            return found
        made = service.add(session, ctx.keyring, caller, provider=provider, name=body.name, config=config)
        return idempotency.remember(session, key, ctx.keyring, Answer(201, _form(ctx, made)))

    return respond(await once(ctx, work))


@router.get("/channel_accounts/{account_id}", response_model=AccountOut, summary="One account")
async def account(account_id: AccountId, caller: Caller, ctx: Ctx) -> Response:
    found = await ctx.db.read(lambda session: service.get(session, caller, account_id))
    return JSONResponse(_form(ctx, found))


@router.patch("/channel_accounts/{account_id}", response_model=AccountOut, summary="Change an account")
async def change(
    request: Request, account_id: AccountId, body: AccountChange, caller: CallingAgent, ctx: Ctx
) -> Response:
    before = await ctx.db.read(lambda session: service.get(session, caller, account_id))
    if body.config is not None:
        await _checked(request, _provider(before.provider), body.config, before=_opened(ctx, before))

    def work(session: Session) -> dict[str, Any]:
        found = service.get(session, caller, account_id, lock=True)
        config = None
        if body.config is not None:
            provider = _provider(found.provider)
            config = service.checked(provider, merged(_opened(ctx, found), body.config, provider.load().Config))
        changed = service.change(
            session,
            ctx.keyring,
            caller,
            found,
            name=body.name,
            config=config,
            enabled=body.enabled,
            position=body.position,
        )
        return _form(ctx, changed)

    return JSONResponse(await ctx.db.transact(work))


@router.delete("/channel_accounts/{account_id}", status_code=204, summary="Remove an account that nothing waits on")
async def remove(account_id: AccountId, caller: CallingAgent, ctx: Ctx) -> Response:
    def work(session: Session) -> None:
        found = service.get(session, caller, account_id, lock=True)
        _refuse_in_use(session, account_id)
        service.remove(session, ctx.keyring, caller, found)

    await ctx.db.transact(work)
    return Response(status_code=204)


@router.post("/channel_accounts/{account_id}/test", response_model=TestOut, summary="Send a test message by it")
async def send_test(
    request: Request,
    account_id: AccountId,
    body: TestIn,
    caller: CallingAgent,
    ctx: Ctx,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """A real message, without any link, by the account as it is set up now, switched on or not."""
    scope = f"{caller.merchant_id}:test_channel_account:{account_id}"
    key = idempotency.Request.of(idempotency_key, scope=scope, body=await request.body())
    found = await ctx.db.read(lambda session: service.get(session, caller, account_id))
    to = checked_address(ChannelName(found.channel), body.to, field="to")
    if key is not None:
        begun = await idempotency.claim(ctx.db, key, ctx.keyring)
        if begun.answer is not None:
            return respond(begun.answer)
    try:
        await ctx.limits.hit(TEST_SENDS, "test-send", caller.merchant_id)
        answer = Answer(200, await _tested(request, ctx, caller, found, to=to))
    except Exception:
        await ctx.db.transact(lambda session: idempotency.forget(session, key))
        raise
    return respond(await ctx.db.transact(lambda session: idempotency.finish(session, key, ctx.keyring, answer)))


async def _tested(
    request: Request, ctx: Context, caller: Principal, account: ChannelAccount, *, to: str
) -> dict[str, Any]:
    def look(session: Session) -> tuple[str, bool]:
        stopped = consent.blocked(session, caller.merchant_id, account.channel, to, purpose=Purpose.LINK)
        return merchants.merchant(session, caller.merchant_id).name, stopped is not None

    merchant, stopped = await ctx.db.read(look)
    if stopped:
        return _result(reason="This address is on the list of those that must not be written to")
    text = f"{merchant}: this is a test message. If you did not expect it, you can ignore it."
    message = Message(
        id=new_id("tst"), channel=account.channel, to=to, text=text, subject=f"{merchant}: test", merchant=merchant
    )
    try:
        async with asyncio.timeout(TEST_TIMEOUT_S):
            channel = await _switchboard(request).of(account)
            return _result(message_id=await channel.send(message))
    except ChannelError as refused:
        return _result(reason=refused.reason)
    except TimeoutError:
        return _result(reason="The provider did not answer in time; the message may have been sent all the same")
    except Exception as error:  # whatever a provider's answer does to its adapter, the agent is told and no more
        log.warning("test_send_failed", account=account.id, error=type(error).__name__)
        return _result(reason="The provider's answer could not be understood")


def _result(*, message_id: str | None = None, reason: str | None = None) -> dict[str, Any]:
    return {"ok": reason is None, "message_id": message_id, "reason": reason}


async def _checked(
    request: Request, provider: Provider, config: Mapping[str, Any], *, before: Mapping[str, Any] | None = None
) -> Any:
    """The settings, with the addresses in them looked up. Raises ``Invalid`` under ``config.…``."""
    checked = service.checked(provider, merged(before or {}, config, provider.load().Config))
    wrong = await outside.problems(checked, allowed=_switchboard(request).allowed)
    if wrong:
        raise Invalid([FieldError(f"config.{name}", "address_not_allowed", str(refused)) for name, refused in wrong])
    return checked


def _provider(name: str) -> Provider:
    found = PROVIDERS.get(name)
    if found is None:
        raise Invalid.one("provider", "provider_unknown", "Is not a provider; GET /v1/channel_providers lists them")
    return found


def _refuse_in_use(session: Session, account_id: str) -> None:
    waiting = sa.exists().where(Delivery.account_id == account_id, Delivery.status == DeliveryStatus.QUEUED.value)
    talking = sa.exists().where(Chat.account_id == account_id)
    if session.scalar(sa.select(sa.or_(waiting, talking))):
        raise Conflict(
            "Messages still wait to be sent by this account, or chats were held by it. Switch it off instead",
            code="channel_account_in_use",
        )


def _opened(ctx: Context, account: ChannelAccount) -> dict[str, Any]:
    """Nothing where the key that sealed it is gone: the account can then be filled in anew."""
    try:
        return service.config_of(ctx.keyring, account)
    except SealBroken:
        return {}


def _form(ctx: Context, account: ChannelAccount) -> dict[str, Any]:
    url = service.callback_url(ctx.settings.console_url, account)
    return account_form(account, _opened(ctx, account), callback_url=url)


def _list(data: list[dict[str, Any]]) -> Response:
    return JSONResponse({"object": "list", "data": data, "has_more": False})


def _switchboard(request: Request) -> Switchboard:
    found = request.app.state.switchboard
    assert isinstance(found, Switchboard)  # noqa: S101 - says so to the type checker
    return found
