"""The demo merchant: planted once, with fresh secrets each time it is asked for."""

from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa
from sqlalchemy.orm import Session

from paylink.accounts import service
from paylink.accounts.models import Agent, ApiKey, Merchant
from paylink.config import Settings
from paylink.db import Database
from paylink.kit.clock import utcnow
from paylink.kit.crypto import Keyring, random_text
from paylink.kit.ids import new_id

EMAIL: Final = "agent@demo.example"
MERCHANT: Final = "Acme Heating"
KEY_NAME: Final = "Demo key"


@dataclass(frozen=True, slots=True)
class Seeded:
    merchant: str
    email: str
    password: str
    api_key: str

    def __repr__(self) -> str:
        return f"Seeded({self.merchant})"

    def form(self, settings: Settings) -> dict[str, object]:
        return {
            "merchant": self.merchant,
            "agent": {"email": self.email, "password": self.password},
            "api_key": self.api_key,
            "console_url": settings.console_url,
            "checkout_url": settings.checkout_url,
        }


def seed(db: Database, keyring: Keyring) -> Seeded:
    password = random_text(9)
    password_hash = service.hash_password(password)

    def plant(session: Session) -> Seeded:
        agent = session.scalars(sa.select(Agent).where(Agent.email == EMAIL)).one_or_none()
        if agent is None:
            agent = _first_time(session)
        agent.password_hash = password_hash
        session.execute(
            sa.update(ApiKey)
            .where(ApiKey.merchant_id == agent.merchant_id, ApiKey.name == KEY_NAME, ApiKey.revoked_at.is_(None))
            .values(revoked_at=utcnow())
        )
        _key, secret = service.create_api_key(
            session, merchant_id=agent.merchant_id, name=KEY_NAME, live=False, keyring=keyring
        )
        return Seeded(agent.merchant_id, EMAIL, password, secret)

    return db.transact_sync(plant)


def _first_time(session: Session) -> Agent:
    merchant = Merchant(id=new_id("mer"), name=MERCHANT)
    session.add(merchant)
    session.flush()
    agent = Agent(id=new_id("agt"), merchant_id=merchant.id, email=EMAIL, name="Alex Morgan", password_hash="")
    session.add(agent)
    session.flush()
    return agent
