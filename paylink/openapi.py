"""The OpenAPI document, without serving anything."""

import asyncio
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from paylink.channels.switchboard import Switchboard
from paylink.config import Settings
from paylink.console import build_api
from paylink.events.stream import Rights
from paylink.main import build_context


def document() -> dict[str, Any]:
    return asyncio.run(_document())


async def _document() -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(database_url=f"sqlite:///{Path(folder) / 'none.db'}", redis_url=None)
        async with AsyncExitStack() as stack:
            ctx = build_context(settings, stack)

            async def never() -> dict[str, bool]:
                return {}

            switchboard = Switchboard(ctx.db, ctx.keyring)
            app = build_api(ctx, switchboard=switchboard, readiness=never, rights=Rights(ctx.db), callbacks_only=False)
            return app.openapi()
