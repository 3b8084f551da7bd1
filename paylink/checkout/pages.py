"""The pages a person sees.

``GET /p/{token}`` is safe for anybody to fetch; ``POST /p/{token}`` exchanges the token for a cookie, by the page's
script as soon as the page is visible or by its ``Continue`` button; ``/pay/{link}`` is the page without the token.
"""

from sqlalchemy.orm import Session
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from paylink.checkout import fetches, sessions
from paylink.checkout.agents import By, recognise
from paylink.checkout.door import Checkout, by_cookie, checkout, count, find_link
from paylink.checkout.render import ENDED
from paylink.checkout.security import check_not_foreign, check_own_page, cookie_name, new_nonce, set_cookie
from paylink.checkout.sessions import Opened, Visit
from paylink.payments import customer
from paylink.payments.customer import PageView


async def by_token(request: Request) -> Response:
    return await (exchange(request) if request.method == "POST" else entry(request))


async def entry(request: Request) -> Response:
    """A link that has ended says so at once; any other shows nothing of itself until it is opened."""
    app = checkout(request)
    await count(app.context, request)
    found = await find_link(app.context, request.path_params["token"])
    if found is None:
        return app.renderer.not_valid()
    door, view = found
    visitor = recognise(request.headers.get("user-agent", ""), method=request.method)
    await fetches.note(app.context.db, app.fetches, door, visitor)
    # By the agent alone, so that HEAD answers as GET does.
    bot = recognise(request.headers.get("user-agent", ""), method="GET").by is By.BOT
    if view.state in ENDED:
        return app.renderer.ended(view, named=not bot)
    return app.renderer.entry(scripted=not bot)


async def exchange(request: Request) -> Response:
    """The script gets the page itself, its address in ``Content-Location``; the form is sent there (303)."""
    app = checkout(request)
    ctx = app.context
    await count(ctx, request)
    scripted = request.headers.get("content-type", "").startswith("application/json")
    if scripted:
        check_own_page(request, ctx.settings)
    else:
        check_not_foreign(request)
    found = await find_link(ctx, request.path_params["token"])
    if found is None:
        return app.renderer.not_valid()
    door, before = found
    if before.state in ENDED:
        return app.renderer.ended(before)
    presented = request.cookies.get(cookie_name(ctx.settings, door.link_id))

    def open_(session: Session) -> tuple[Opened, PageView]:
        opened = sessions.open_(session, ctx.keyring, door, presented=presented)
        return opened, customer.view(session, door.link_id, session_id=opened.visit.id)

    opened, view = await ctx.db.transact(open_)
    address = f"/pay/{door.link_id}"
    if scripted:
        response = _shown(app, opened.visit, view)
        response.headers["Content-Location"] = address
    else:
        response = RedirectResponse(address, 303)
    set_cookie(response, ctx.settings, door.link_id, opened.secret)
    return response


async def pay(request: Request) -> Response:
    app = checkout(request)
    await count(app.context, request)
    found = await by_cookie(app.context, request)
    return app.renderer.no_session() if found is None else _shown(app, *found)


async def returned(request: Request) -> Response:
    """Back from the bank. What the address says of the outcome is not believed, and leaves the address bar at once."""
    return RedirectResponse(f"/pay/{request.path_params['link_id']}", 303)


def _shown(app: Checkout, visit: Visit, view: PageView) -> Response:
    return app.renderer.link(view, nonce=new_nonce(app.context.keyring, visit.link_id))
