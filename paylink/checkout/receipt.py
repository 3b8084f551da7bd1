"""``GET /pay/{link}/receipt.pdf``: the receipt for the browser that paid, and for nobody else.

Without the link's cookie, by another browser, of a link that is not there or not paid: the same 404.
"""

import asyncio

from sqlalchemy.orm import Session
from starlette.requests import Request
from starlette.responses import Response

from paylink.checkout import sessions
from paylink.checkout.door import checkout, count, language
from paylink.checkout.receipt_pdf import draw, drawn_in
from paylink.checkout.security import cookie_name
from paylink.errors import NotFound
from paylink.limits import BEACONS_BY_SESSION
from paylink.messages.render import ReceiptFacts
from paylink.payments import receipts


async def receipt(request: Request) -> Response:
    ctx = checkout(request).context
    await count(ctx, request)
    link_id: str = request.path_params["link_id"]
    secret = request.cookies.get(cookie_name(ctx.settings, link_id))
    if not secret:
        raise _none()

    def look(session: Session) -> tuple[str, ReceiptFacts] | None:
        visit = sessions.find(session, ctx.keyring, link_id=link_id, secret=secret)
        paid = receipts.paid_by(session, link_id, session_id=visit.id) if visit else None
        if visit is None or paid is None:
            return None
        spoken = drawn_in(language(request, visit.locale, receipts.language_of(session, link_id)))
        return visit.id, receipts.facts_of(session, paid, language=spoken)

    found = await ctx.db.read(look)
    if found is None:
        raise _none()
    session_id, facts = found
    await ctx.limits.hit(BEACONS_BY_SESSION, "receipt", session_id)
    document = await asyncio.to_thread(draw, facts)
    headers = {"Content-Disposition": f'attachment; filename="receipt-{facts.payment}.pdf"'}
    return Response(document, media_type="application/pdf", headers=headers)


def _none() -> NotFound:
    return NotFound("There is no such receipt")
