"""Who makes this request: an API key in ``Authorization``, or an agent's session cookie.

A cookie is sent by the browser whoever asks it to, so with one, anything that changes something must come from the
console's own pages: ``Origin`` and ``Sec-Fetch-Site`` say so.
"""

import time
from collections.abc import Callable
from functools import partial
from typing import Annotated, Final

from fastapi import Depends, Request
from sqlalchemy.orm import Session

from paylink.accounts import service
from paylink.accounts.scope import Principal, PrincipalKind
from paylink.context import Context, context_of
from paylink.errors import Forbidden, NotSignedIn
from paylink.kit.crypto import Keyring
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

    def touch_due(self, credential_id: str) -> bool:
        now = time.monotonic()
        if now - self._touched.get(credential_id, -TOUCH_EVERY_S) < TOUCH_EVERY_S:
            return False
        if len(self._touched) >= CACHE_LIMIT:
            self._touched.clear()
        self._touched[credential_id] = now
        return True


def cookie_name(*, production: bool) -> str:
    """``__Host-`` makes the browser refuse the cookie unless it is Secure, host-only and for the whole path."""
    return "__Host-paylink_console" if production else "paylink_console"


async def principal(request: Request) -> Principal:
    ctx = context_of(request)
    scheme, _, secret = request.headers.get("authorization", "").partition(" ")
    if scheme:
        if scheme.lower() != "bearer" or not secret:
            raise NotSignedIn("Use `Authorization: Bearer <api key>`", code="invalid_api_key")
        found = await _known(
            request, ctx, secret.strip(), purpose=service.API_KEY_PURPOSE, find=service.principal_by_key
        )
        await ctx.limits.hit(API_BY_KEY, "api", found.credential_id)
        return found
    cookie = request.cookies.get(cookie_name(production=ctx.settings.production))
    if not cookie:
        raise NotSignedIn("Sign in, or send an API key as `Authorization: Bearer <api key>`")
    if request.method not in SAFE_METHODS:
        require_same_origin(request, ctx)
    return await _known(request, ctx, cookie, purpose=service.SESSION_PURPOSE, find=service.principal_by_cookie)


def require_same_origin(request: Request, ctx: Context) -> None:
    """Refuses a browser's request that did not start on the console's own pages.

    ``Sec-Fetch-Site`` is the browser's own word and decides where it is sent; ``Origin`` is for browsers without it.
    With neither it is no browser, and nobody can have tricked it.
    """
    site = request.headers.get("sec-fetch-site")
    origin = request.headers.get("origin")
    foreign = site not in {"same-origin", "none"} if site else origin not in {None, ctx.settings.console_url}
    if foreign:
        raise Forbidden("This request came from another site", code="foreign_origin")


async def agent(principal: "Caller") -> Principal:
    """For what only a person may do."""
    if principal.kind is not PrincipalKind.AGENT:
        raise Forbidden("Only a signed-in agent may do this", code="agents_only")
    return principal


async def _known(
    request: Request, ctx: Context, secret: str, *, purpose: str, find: Callable[[Session, str, Keyring], Principal]
) -> Principal:
    cache: CredentialCache = request.app.state.credentials
    place = ctx.keyring.digest(secret, purpose=purpose)
    found = cache.get(place)
    if found is None:
        found = await ctx.db.read(lambda session: find(session, secret, ctx.keyring))
        cache.put(place, found)
        if cache.touch_due(found.credential_id):
            await ctx.db.transact(partial(service.touch, principal=found))
    return found


Caller = Annotated[Principal, Depends(principal)]
CallingAgent = Annotated[Principal, Depends(agent)]
