"""Who makes this request: an API key in ``Authorization``, or an agent's session cookie.

A cookie is sent by the browser whoever asks it to, so with one, anything that changes something must come from the
console's own pages: ``Origin`` and ``Sec-Fetch-Site`` say so.
"""

import time
from typing import Annotated, Final

from fastapi import Depends, Request
from sqlalchemy.orm import Session

from paylink.accounts import service
from paylink.accounts.scope import Principal, PrincipalKind
from paylink.context import Context, Ctx
from paylink.errors import Forbidden, NotSignedIn
from paylink.limits import API_BY_KEY

SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
# A credential is believed this long without asking the database again: a revoked one is out within it.
BELIEVED_S: Final = 1.0
CACHE_LIMIT: Final = 10_000
TOUCH_EVERY_S: Final = 60.0


class CredentialCache:
    """Hashes of credentials seen in the last second, so that a burst of requests costs one look-up."""

    def __init__(self) -> None:
        self._found: dict[bytes, tuple[float, Principal]] = {}
        self._touched: dict[str, float] = {}

    def get(self, key: bytes) -> Principal | None:
        found = self._found.get(key)
        return found[1] if found and time.monotonic() - found[0] < BELIEVED_S else None

    def put(self, key: bytes, principal: Principal) -> None:
        if len(self._found) >= CACHE_LIMIT:
            self._found.clear()
        self._found[key] = (time.monotonic(), principal)

    def drop(self, credential_id: str) -> None:
        self._found = {k: v for k, v in self._found.items() if v[1].credential_id != credential_id}

    def touch_due(self, session_id: str) -> bool:
        now = time.monotonic()
        if now - self._touched.get(session_id, -TOUCH_EVERY_S) < TOUCH_EVERY_S:
            return False
        if len(self._touched) >= CACHE_LIMIT:
            self._touched.clear()
        self._touched[session_id] = now
        return True


def cookie_name(*, production: bool) -> str:
    """``__Host-`` makes the browser refuse the cookie unless it is Secure, host-only and for the whole path."""
    return "__Host-paylink_console" if production else "paylink_console"


async def principal(request: Request, ctx: Ctx) -> Principal:
    scheme, _, secret = request.headers.get("authorization", "").partition(" ")
    if scheme:
        if scheme.lower() != "bearer" or not secret:
            raise NotSignedIn("Use `Authorization: Bearer <api key>`", code="invalid_api_key")
        found = await _by_key(request, ctx, secret.strip())
        await ctx.limits.hit(API_BY_KEY, "api", found.credential_id)
        return found
    cookie = request.cookies.get(cookie_name(production=ctx.settings.production))
    if not cookie:
        raise NotSignedIn("Sign in, or send an API key as `Authorization: Bearer <api key>`")
    if request.method not in SAFE_METHODS:
        require_same_origin(request, ctx)
    return await _by_cookie(request, ctx, cookie)


def require_same_origin(request: Request, ctx: Context) -> None:
    """Refuses a browser's request that did not start on the console's own pages."""
    site = request.headers.get("sec-fetch-site")
    origin = request.headers.get("origin")
    if origin is None and site is None:
        raise Forbidden("A signed-in browser must say where the request comes from", code="origin_missing")
    if site not in {None, "same-origin"} or origin not in {None, ctx.settings.console_url}:
        raise Forbidden("This request came from another site", code="foreign_origin")


async def agent(principal: "Caller") -> Principal:
    """For what only a person may do."""
    if principal.kind is not PrincipalKind.AGENT:
        raise Forbidden("Only a signed-in agent may do this", code="agents_only")
    return principal


async def _by_key(request: Request, ctx: Context, secret: str) -> Principal:
    cache: CredentialCache = request.app.state.credentials
    place = ctx.keyring.digest(secret, purpose=service.API_KEY_PURPOSE)
    found = cache.get(place)
    if found is None:
        found = await ctx.db.read(lambda session: service.principal_by_key(session, secret, ctx.keyring))
        cache.put(place, found)
    return found


async def _by_cookie(request: Request, ctx: Context, cookie: str) -> Principal:
    cache: CredentialCache = request.app.state.credentials
    place = ctx.keyring.digest(cookie, purpose=service.SESSION_PURPOSE)
    found = cache.get(place)
    if found is None:
        found = await ctx.db.read(lambda session: service.principal_by_cookie(session, cookie, ctx.keyring))
        cache.put(place, found)
    if cache.touch_due(found.credential_id):
        session_id = found.credential_id

        def touch(session: Session) -> None:
            service.touch_session(session, session_id)

        await ctx.db.transact(touch)
    return found


Caller = Annotated[Principal, Depends(principal)]
CallingAgent = Annotated[Principal, Depends(agent)]
