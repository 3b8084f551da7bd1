"""The pages a person sees.

``GET /p/{token}`` is safe for anybody to fetch; ``POST /p/{token}`` exchanges the token for a cookie, by the page's
script as soon as the page is visible or by its ``Continue`` button; ``/pay/{link}`` is the page without the token.
"""

from sqlalchemy.orm import Session
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from paylink.checkout import fetches, sessions
from paylink.checkout.about import About, about
from paylink.checkout.agents import By, recognise
from paylink.checkout.door import by_cookie, checkout, count, find_link, language
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
        return app.renderer.not_valid(language=language(request))
    door, view = found
    visitor = recognise(request.headers.get("user-agent", ""), method=request.method, headers=request.headers)
    await fetches.note(app.context.db, app.fetches, door, visitor)
    # By the agent alone, so that HEAD answers as GET does.
    bot = recognise(request.headers.get("user-agent", ""), method="GET").by is By.BOT
    if view.state in ENDED:
        return app.renderer.ended(view, named=not bot, language=language(request, view.locale))
    return app.renderer.entry(scripted=not bot, language=language(request, view.locale))


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
        return app.renderer.not_valid(language=language(request))
    door, before = found
    if before.state in ENDED:
        return app.renderer.ended(before, language=language(request, before.locale))
    presented = request.cookies.get(cookie_name(ctx.settings, door.link_id))

    def open_(session: Session) -> tuple[Opened, PageView, About]:
        opened = sessions.open_(session, ctx.keyring, door, presented=presented)
        view = customer.view(session, door.link_id, session_id=opened.visit.id)
        return opened, view, about(session, door.link_id, ctx.channels)

    opened, view, beside = await ctx.db.transact(open_)
    address = f"/pay/{door.link_id}"
    if scripted:
        response = _shown(request, opened.visit, view, beside)
        response.headers["Content-Location"] = address
    else:
        response = RedirectResponse(address, 303)
    set_cookie(response, ctx.settings, door.link_id, opened.secret)
    return response


async def pay(request: Request) -> Response:
    app = checkout(request)
    await count(app.context, request)
    found = await by_cookie(app.context, request)
    if found is None:
        return await _turned_away(request)
    beside = await app.context.db.read(lambda session: about(session, found[0].link_id, app.context.channels))
    return _shown(request, *found, beside)


async def returned(request: Request) -> Response:
    """Back from the bank. What the address says of the outcome is not believed, and leaves the address bar at once."""
    return RedirectResponse(f"/pay/{request.path_params['link_id']}", 303)


async def _turned_away(request: Request) -> Response:
    """Without a session; one that came by a withdrawn delivery is told what its token is told now."""
    app = checkout(request)
    ctx, link_id = app.context, request.path_params["link_id"]
    secret = request.cookies.get(cookie_name(ctx.settings, link_id))
    gone = False
    if secret:
        gone = await ctx.db.read(
            lambda session: sessions.withdrawn(session, ctx.keyring, link_id=link_id, secret=secret)
        )
    show = app.renderer.not_valid if gone else app.renderer.no_session
    return show(language=language(request))


def _shown(request: Request, visit: Visit, view: PageView, beside: About) -> Response:
    """In the language that was chosen on the page, before the link's and the browser's."""
    app = checkout(request)
    nonce = new_nonce(app.context.keyring, visit.link_id)
    return app.renderer.link(view, visit, beside, nonce=nonce, language=language(request, visit.locale, view.locale))
