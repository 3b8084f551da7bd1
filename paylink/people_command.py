"""``paylink merchant create`` and ``paylink agent add|password|disable``: who may sign in, as the operator says.

A password is made here, printed once and kept as its hash alone. Whoever gets a new one, or is disabled, is signed out.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Annotated

import sqlalchemy as sa
import typer
from pydantic import TypeAdapter, ValidationError
from rich.console import Console
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from paylink.accounts import service
from paylink.accounts.models import Agent, AgentSession, Merchant
from paylink.audit import service as audit
from paylink.audit.models import Action
from paylink.config import Settings
from paylink.customers.addresses import Email
from paylink.db import Database
from paylink.errors import Conflict, NotFound
from paylink.kit.clock import utcnow
from paylink.kit.crypto import random_text
from paylink.kit.ids import new_id
from paylink.kit.terminal import fail

OPERATOR = "operator"
PASSWORD_BYTES = 12

Name = Annotated[str, typer.Option("--name", help="What customers read on their page")]
AgentName = Annotated[str, typer.Option("--agent-name", help="What colleagues read; the e-mail if left out")]
Address = Annotated[str, typer.Option("--email", help="Their e-mail, which they sign in with")]

Opened = Callable[[Settings], AbstractContextManager[Database]]
out = Console(soft_wrap=True, markup=False, highlight=False)
_email: TypeAdapter[str] = TypeAdapter(Email)


def merchant_commands(load: Callable[[], Settings], opened: Opened) -> typer.Typer:
    """``load`` gives the settings and ``opened`` the database, or end the command with what is wrong with them."""
    app = typer.Typer(no_args_is_help=True, help="Merchants.")

    @app.callback()
    def group() -> None:
        """Keeps ``create`` a command of its own while it is the only one."""

    @app.command("create")
    def create(name: Name, email: Address, agent_name: AgentName = "") -> None:
        """Make a merchant and its first agent; prints the agent's password, once."""
        settings, address, title = load(), _checked(email), name.strip()
        if not title:
            fail("The merchant needs a name")

        def work(session: Session, password_hash: str) -> str:
            merchant = Merchant(id=new_id("mer"), name=title)
            session.add(merchant)
            session.flush()
            return _add(session, settings, merchant.id, address, agent_name, password_hash)

        _with_password(settings, opened, address, work)

    return app


def agent_commands(load: Callable[[], Settings], opened: Opened) -> typer.Typer:
    """As above."""
    app = typer.Typer(no_args_is_help=True, help="Agents: who may sign in to the console.")

    @app.command("add")
    def add(merchant: Annotated[str, typer.Option(help="mer_…")], email: Address, agent_name: AgentName = "") -> None:
        """Add an agent to a merchant; prints the password, once."""
        settings, address = load(), _checked(email)

        def work(session: Session, password_hash: str) -> str:
            if session.get(Merchant, merchant) is None:
                raise NotFound(f"There is no merchant {merchant}")
            return _add(session, settings, merchant, address, agent_name, password_hash)

        _with_password(settings, opened, address, work)

    @app.command("password")
    def password(email: Address) -> None:
        """Give an agent a new password and sign them out; enables one who was disabled."""
        settings, address = load(), _checked(email)

        def work(session: Session, password_hash: str) -> str:
            agent = _known(session, address)
            agent.password_hash, agent.disabled_at = password_hash, None
            return _signed_out(session, settings, agent, Action.PASSWORD_SET)

        _with_password(settings, opened, address, work)

    @app.command("disable")
    def disable(email: Address) -> None:
        """Sign an agent out for good."""
        settings, address = load(), _checked(email)

        def work(session: Session) -> str:
            agent = _known(session, address)
            agent.disabled_at = agent.disabled_at or utcnow()
            return _signed_out(session, settings, agent, Action.AGENT_DISABLED)

        merchant = _done(settings, opened, work)
        out.print(f"{address} of {merchant} cannot sign in any more.")

    return app


def _with_password(settings: Settings, opened: Opened, address: str, work: Callable[[Session, str], str]) -> None:
    secret = random_text(PASSWORD_BYTES)
    password_hash = service.hash_password(secret)
    merchant = _done(settings, opened, lambda session: work(session, password_hash))
    out.print(f"Merchant  {merchant}\nConsole   {settings.console_url}\nEmail     {address}\nPassword  {secret}")


def _done(settings: Settings, opened: Opened, work: Callable[[Session], str]) -> str:
    with opened(settings) as db:
        try:
            return db.transact_sync(work)
        except (NotFound, Conflict) as error:
            fail(error.detail)


def _add(session: Session, settings: Settings, merchant_id: str, address: str, name: str, password_hash: str) -> str:
    agent = Agent(
        id=new_id("agt"),
        merchant_id=merchant_id,
        email=address,
        name=name.strip() or address,
        password_hash=password_hash,
    )
    session.add(agent)
    try:
        session.flush()
    except IntegrityError:
        raise Conflict(f"{address} is an agent already") from None
    _note(session, settings, agent, Action.AGENT_ADDED)
    return merchant_id


def _known(session: Session, address: str) -> Agent:
    agent = session.scalars(sa.select(Agent).where(Agent.email == address)).one_or_none()
    if agent is None:
        raise NotFound(f"There is no agent {address}")
    return agent


def _signed_out(session: Session, settings: Settings, agent: Agent, action: Action) -> str:
    session.execute(sa.delete(AgentSession).where(AgentSession.agent_id == agent.id))
    session.flush()
    _note(session, settings, agent, action)
    return agent.merchant_id


def _note(session: Session, settings: Settings, agent: Agent, action: Action) -> None:
    audit.record(
        session,
        settings.keyring,
        merchant_id=agent.merchant_id,
        actor=OPERATOR,
        actor_name="",
        action=action,
        subject=agent.id,
    )


def _checked(email: str) -> str:
    try:
        return _email.validate_python(email).lower()
    except ValidationError as error:
        fail(f"--email: {error.errors(include_input=False)[0]['msg']}")
