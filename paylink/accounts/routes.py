"""Signing in and out, who am I, and the API keys of a merchant."""

from datetime import datetime
from functools import partial
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.orm import Session
from starlette.background import BackgroundTask

from paylink import idempotency
from paylink.accounts import service
from paylink.accounts.auth import Caller, CallingAgent, CredentialCache, cookie_name, require_same_origin
from paylink.accounts.models import Agent, ApiKey, Merchant
from paylink.accounts.scope import PrincipalKind
from paylink.audit import service as audit
from paylink.audit.models import Action
from paylink.channels.service import available
from paylink.context import Context, Ctx
from paylink.errors import NotSignedIn
from paylink.idempotency import Answer
from paylink.kit.clock import rfc3339, utcnow
from paylink.kit.text import Short
from paylink.kit.web import client_address
from paylink.limits import SIGN_IN_BY_ADDRESS, SIGN_IN_BY_EMAIL
from paylink.links.routes import IdempotencyKey, once, respond
from paylink.problems import problem

router = APIRouter(prefix="/v1", tags=["Accounts"])


class SignIn(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    email: Annotated[str, Field(max_length=254)]
    password: Annotated[str, Field(max_length=1024)]


class AgentOut(BaseModel):
    id: str
    email: str
    name: str


class MerchantOut(BaseModel):
    id: str
    name: str


class SessionOut(BaseModel):
    object: Literal["session"] = "session"
    agent: AgentOut
    merchant: MerchantOut


class ChannelOut(BaseModel):
    channel: str
    available: bool


class Me(BaseModel):
    agent: AgentOut | None
    merchant: MerchantOut
    livemode: bool
    channels: list[ChannelOut]
    payments_paused_until: datetime | None = Field(
        description="Nearly every try was declined: no payment can begin until then, or until an agent resumes"
    )


class ApiKeyIn(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: Short


class ApiKeyOut(BaseModel):
    id: str
    object: Literal["api_key"] = "api_key"
    name: str
    prefix: str
    last4: str
    created_at: datetime
    last_used_at: datetime | None
    revoked_at: datetime | None
    key: str | None = Field(None, description="In the answer that made the key, and never again")


class ApiKeyList(BaseModel):
    object: Literal["list"] = "list"
    data: list[ApiKeyOut]
    has_more: bool


@router.post("/sessions", status_code=201, response_model=SessionOut, summary="Sign in")
async def sign_in(request: Request, body: SignIn, ctx: Ctx) -> Response:
    if "cookie" in request.headers or "origin" in request.headers:
        require_same_origin(request, ctx)
    await ctx.limits.hit(SIGN_IN_BY_ADDRESS, "sign-in", client_address(request.scope))
    email = body.email.strip().lower()
    await ctx.limits.hit(SIGN_IN_BY_EMAIL, "sign-in", email)
    agent = await ctx.db.read(lambda session: service.agent_by_email(session, body.email))
    if not await service.password_matches(agent.password_hash if agent else None, body.password) or agent is None:
        return _refused(ctx, agent)
    await ctx.limits.forgive(SIGN_IN_BY_EMAIL, "sign-in", email)

    def start(session: Session) -> tuple[str, Merchant]:
        secret = service.start_session(session, agent, ctx.keyring)
        audit.note(session, ctx.keyring, service.principal_of(agent), Action.SIGNED_IN, subject=agent.id)
        return secret, service.merchant(session, agent.merchant_id)

    secret, merchant = await ctx.db.transact(start)
    answer = JSONResponse({"object": "session", "agent": _agent_form(agent), "merchant": _merchant_form(merchant)}, 201)
    _set_cookie(answer, ctx, secret, max_age=int(service.SESSION_LIFE.total_seconds()))
    return answer


@router.delete("/sessions/current", status_code=204, summary="Sign out")
async def sign_out(request: Request, caller: CallingAgent, ctx: Ctx) -> Response:
    def end(session: Session) -> None:
        if service.end_session(session, caller.credential_id):
            audit.note(session, ctx.keyring, caller, Action.SIGNED_OUT, subject=caller.id)

    await ctx.db.transact(end)
    _forget(request, caller.credential_id)
    answer = Response(status_code=204)
    _set_cookie(answer, ctx, "", max_age=0)
    return answer


@router.get("/me", response_model=Me, summary="Who am I")
async def me(caller: Caller, ctx: Ctx) -> Response:
    def work(session: Session) -> tuple[Merchant, Agent | None, dict[str, bool]]:
        agent = session.get(Agent, caller.id) if caller.kind is PrincipalKind.AGENT else None
        return service.merchant(session, caller.merchant_id), agent, available(session, caller.merchant_id)

    merchant, agent, accounts = await ctx.db.read(work)
    return JSONResponse(
        {
            "agent": _agent_form(agent) if agent else None,
            "merchant": _merchant_form(merchant),
            "livemode": ctx.psp.livemode,
            "channels": [{"channel": name, "available": on or accounts[name]} for name, on in ctx.channels.items()],
            "payments_paused_until": _ahead(merchant.payments_paused_until),
        }
    )


@router.get("/api_keys", response_model=ApiKeyList, summary="The API keys of this merchant")
async def api_keys(caller: CallingAgent, ctx: Ctx) -> Response:
    keys = await ctx.db.read(lambda session: service.list_api_keys(session, caller))
    return JSONResponse({"object": "list", "data": [_key_form(key) for key in keys], "has_more": False})


@router.post("/api_keys", status_code=201, response_model=ApiKeyOut, summary="Make an API key; shown once")
async def create_api_key(
    request: Request, body: ApiKeyIn, caller: CallingAgent, ctx: Ctx, idempotency_key: IdempotencyKey = None
) -> Response:
    scope = f"{caller.merchant_id}:create_api_key"
    once_key = idempotency.Request.of(idempotency_key, scope=scope, body=await request.body())

    def work(session: Session) -> Answer:
        if found := idempotency.replay(session, once_key, ctx.keyring):
            return found
        key, secret = service.create_api_key(
            session, merchant_id=caller.merchant_id, name=body.name, live=ctx.psp.livemode, keyring=ctx.keyring
        )
        audit.note(session, ctx.keyring, caller, Action.API_KEY_CREATED, subject=key.id, details=_key_facts(key))
        return idempotency.remember(session, once_key, ctx.keyring, Answer(201, {**_key_form(key), "key": secret}))

    return respond(await once(ctx, work))


@router.delete("/api_keys/{key_id}", status_code=204, summary="Revoke an API key")
async def revoke_api_key(request: Request, key_id: str, caller: CallingAgent, ctx: Ctx) -> Response:
    def revoke(session: Session) -> None:
        if key := service.revoke_api_key(session, caller, key_id):
            audit.note(session, ctx.keyring, caller, Action.API_KEY_REVOKED, subject=key.id, details=_key_facts(key))

    await ctx.db.transact(revoke)
    _forget(request, key_id)
    return Response(status_code=204)


def _refused(ctx: Context, agent: Agent | None) -> Response:
    """Recorded after the answer is out: the time until it comes must not tell which accounts there are."""
    answer = problem(NotSignedIn("E-mail or password is not right", code="invalid_credentials"))
    if agent is not None:
        failed = partial(
            audit.record,
            keyring=ctx.keyring,
            merchant_id=agent.merchant_id,
            actor=audit.NOBODY,
            actor_name="",
            action=Action.SIGN_IN_FAILED,
            subject=agent.id,
        )
        answer.background = BackgroundTask(ctx.db.transact, failed)
    return answer


def _key_facts(key: ApiKey) -> dict[str, Any]:
    return {"name": key.name, "last4": key.last4}


def _forget(request: Request, credential_id: str) -> None:
    cache: CredentialCache = request.app.state.credentials
    cache.drop(credential_id)


def _set_cookie(answer: Response, ctx: Context, value: str, *, max_age: int) -> None:
    production = ctx.settings.production
    answer.set_cookie(
        cookie_name(production=production),
        value,
        max_age=max_age,
        path="/",
        secure=production,
        httponly=True,
        samesite="lax",
    )


def _ahead(moment: datetime | None) -> str | None:
    return rfc3339(moment) if moment is not None and moment > utcnow() else None


def _agent_form(agent: Agent) -> dict[str, str]:
    return {"id": agent.id, "email": agent.email, "name": agent.name}


def _merchant_form(merchant: Merchant) -> dict[str, str]:
    return {"id": merchant.id, "name": merchant.name}


def _key_form(key: ApiKey) -> dict[str, Any]:
    return {
        "id": key.id,
        "object": "api_key",
        "name": key.name,
        "prefix": key.prefix,
        "last4": key.last4,
        "created_at": rfc3339(key.created_at),
        "last_used_at": rfc3339(key.last_used_at) if key.last_used_at else None,
        "revoked_at": rfc3339(key.revoked_at) if key.revoked_at else None,
    }
