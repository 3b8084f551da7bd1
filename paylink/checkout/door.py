"""What every endpoint begins with: who comes, by which token or cookie, and how the link stands for them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, cast

from sqlalchemy.orm import Session
from starlette.requests import Request

from paylink.checkout import sessions
from paylink.checkout.pace import Pace
from paylink.checkout.render import Renderer
from paylink.checkout.security import cookie_name
from paylink.checkout.sessions import Visit
from paylink.context import Context
from paylink.delivery.service import Door, find_by_token
from paylink.kit import i18n
from paylink.kit.web import client_address
from paylink.limits import CHECKOUT_BY_ADDRESS
from paylink.payments import customer
from paylink.payments.customer import PageView

LINK_ID: Final = "plink_[0-9a-z]{26}"


@dataclass(frozen=True, slots=True)
class Checkout:
    """What the app keeps in ``state``."""

    context: Context
    renderer: Renderer
    headers: Mapping[str, str]
    # How often a fetch is told, and how often the provider is asked about one attempt.
    fetches: Pace
    asked: Pace


def checkout(request: Request) -> Checkout:
    return cast(Checkout, request.app.state.checkout)


async def count(ctx: Context, request: Request) -> None:
    """One request of this address. Raises ``TooManyRequests``."""
    await ctx.limits.hit(CHECKOUT_BY_ADDRESS, "checkout", client_address(request.scope))


def language(request: Request, *wanted: str | None) -> str:
    """The first of ``wanted`` that we speak, most wanted first; else the best of what the browser asks for."""
    return i18n.choose(*wanted, accept=request.headers.get("accept-language"))


async def find_link(ctx: Context, token: str) -> tuple[Door, PageView] | None:
    """Every token takes the same path, well-formed or not: a hash under each key and one look-up."""

    def look(session: Session) -> tuple[Door, PageView] | None:
        door = find_by_token(session, ctx.keyring, token)
        return None if door is None else (door, customer.view(session, door.link_id, session_id=None))

    return await ctx.db.read(look)


async def by_cookie(ctx: Context, request: Request) -> tuple[Visit, PageView] | None:
    """The session of the link in the path. Without its cookie every link looks alike, there or not."""
    link_id: str = request.path_params["link_id"]
    secret = request.cookies.get(cookie_name(ctx.settings, link_id))
    if not secret:
        return None

    def look(session: Session) -> tuple[Visit, PageView] | None:
        visit = sessions.find(session, ctx.keyring, link_id=link_id, secret=secret)
        return None if visit is None else (visit, customer.view(session, link_id, session_id=visit.id))

    return await ctx.db.read(look)
