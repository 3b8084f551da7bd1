"""Reading the audit. For people only: it names colleagues, with whom the API key of a CRM or a bot has no business."""

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from sqlalchemy.orm import Session

from paylink.accounts.auth import CallingAgent
from paylink.audit import service
from paylink.audit.models import AuditEntry
from paylink.context import Ctx
from paylink.errors import NotFound
from paylink.kit.clock import rfc3339

router = APIRouter(prefix="/v1", tags=["Audit"])


class AuditEntryOut(BaseModel):
    id: str
    object: Literal["audit_entry"] = "audit_entry"
    seq: int
    at: datetime
    actor: str
    actor_name: str
    action: str
    subject: str | None
    details: dict[str, Any]


class AuditEntryList(BaseModel):
    object: Literal["list"] = "list"
    data: list[AuditEntryOut]
    has_more: bool


@router.get("/audit_entries", response_model=AuditEntryList, summary="Who did what, newest first")
async def audit_entries(
    caller: CallingAgent,
    ctx: Ctx,
    limit: Annotated[int, Query(ge=1, le=100)] = 25,
    starting_after: Annotated[str | None, Query(max_length=64)] = None,
) -> Response:
    def work(session: Session) -> list[dict[str, Any]]:
        whose = {"merchant_id": caller.merchant_id}
        before = service.seq_of(session, **whose, entry_id=starting_after) if starting_after else None
        if starting_after and before is None:
            raise NotFound("No such audit entry")
        found = service.newest(session, **whose, limit=limit + 1, before_seq=before)
        return [entry_form(entry) for entry in found]

    found = await ctx.db.read(work)
    return JSONResponse({"object": "list", "data": found[:limit], "has_more": len(found) > limit})


def entry_form(entry: AuditEntry) -> dict[str, Any]:
    return {
        "id": entry.id,
        "object": "audit_entry",
        "seq": entry.seq,
        "at": rfc3339(entry.at),
        "actor": entry.actor,
        "actor_name": entry.actor_name,
        "action": entry.action,
        "subject": entry.subject,
        "details": entry.details,
    }
