"""The floor: the least that FastAPI does for a POST with a validated body. No database, no sign-in, no log."""

from datetime import UTC, datetime, timedelta

from fastapi import FastAPI
from pydantic import BaseModel, Field

app = FastAPI()


class LinkIn(BaseModel):
    amount: int = Field(gt=0)
    currency: str = Field(min_length=3, max_length=3)
    reference: str | None = Field(None, max_length=200)
    metadata: dict[str, str] = {}


class LinkOut(BaseModel):
    id: str
    status: str
    amount: int
    currency: str
    reference: str | None
    metadata: dict[str, str]
    url: str
    created_at: datetime
    expires_at: datetime


@app.post("/v1/payment_links", status_code=201)
async def create(body: LinkIn) -> LinkOut:
    now = datetime.now(UTC)
    return LinkOut(
        id="plink_0123456789abcdefghjkmnpqrs",
        status="active",
        url="http://127.0.0.1:8001/p/0123456789abcdefghijkl",
        created_at=now,
        expires_at=now + timedelta(days=1),
        **body.model_dump(),
    )


@app.get("/healthz")
async def healthz() -> str:
    return "ok"
