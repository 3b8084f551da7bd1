"""The chat widget of ours that any site embeds: a message is put into the visitor's conversation, kept by us."""

import re
from collections.abc import Awaitable, Callable
from typing import Annotated, ClassVar, Final

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from paylink.channels.base import Callback, CallbackRefused, Capabilities, Message, Parsed
from paylink.kit.text import Long, Short

# As a browser writes an origin: lower case, no path, no port that goes without saying. Nothing else, for it becomes
# part of a header.
HOST: Final = r"(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
ORIGIN: Final = re.compile(rf"https://{HOST}(?::[0-9]{{1,5}})?")
# A page on the developer's own machine.
LOCAL: Final = re.compile(r"http://(?:localhost|127\.0\.0\.1)(?::[0-9]{1,5})?")
# All of them stand in one header of each page the visitor is given.
MOST_ORIGINS: Final = 20
USUAL_PORT: Final = ":443"


def origins_in(text: str) -> list[str]:
    """The origins, one per line. Raises ``ValueError`` with a sentence for whoever wrote them."""
    found: list[str] = []
    for line in filter(None, (part.strip() for part in text.splitlines())):
        origin = line.lower().removesuffix("/").removesuffix(USUAL_PORT)
        if not (ORIGIN.fullmatch(origin) or LOCAL.fullmatch(origin)):
            raise ValueError("must have one address per line, such as https://www.example.com, without a path")
        if origin not in found:
            found.append(origin)
    if len(found) > MOST_ORIGINS:
        raise ValueError(f"can name {MOST_ORIGINS} addresses at most")
    return found


def _one_per_line(text: str) -> str:
    return "\n".join(origins_in(text))


class WebChatConfig(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    title: Annotated[Short, StringConstraints(max_length=60)] = Field(
        title="Title", description="At the top of the chat: who the visitor is talking to"
    )
    origins: Annotated[str, StringConstraints(max_length=4000), AfterValidator(_one_per_line)] = Field(
        default="",
        title="Your sites",
        description="Where the chat may appear: one address per line, such as https://www.example.com. "
        "It appears nowhere else",
        json_schema_extra={"format": "text"},
    )
    greeting: Long | None = Field(
        default=None,
        title="Greeting",
        description="What a visitor reads before the first message. Left out, ours in the visitor's language",
        json_schema_extra={"format": "text"},
    )
    accent: Annotated[str, StringConstraints(pattern=r"^#[0-9a-fA-F]{6}$")] = Field(
        default="#175cd3", title="Accent colour", description="Of the button and the visitor's own messages: #175cd3"
    )


class WebChatChannel:
    """``poster`` writes a message into the chat named by its ``to``, once per message id, and gives the chat
    message's id. Raises ``ChannelError``."""

    name = "webchat"
    Config: ClassVar[type[BaseModel]] = WebChatConfig
    capabilities: ClassVar = Capabilities(delivered=True, read=True, replies=True)

    def __init__(
        self, config: WebChatConfig, *, callback_url: str, poster: Callable[[Message], Awaitable[str]]
    ) -> None:
        self._poster = poster

    @staticmethod
    def takes(to: str) -> bool:
        """A chat's id, or the six digits that the visitor says; anything else is for another provider of chats."""
        return to.startswith("cht_") or "".join(to.split()).isdigit()

    async def send(self, message: Message) -> str:
        return await self._poster(message)

    def parse_callback(self, callback: Callback) -> Parsed:
        raise CallbackRefused("nobody calls back: the chat is our own")

    async def close(self) -> None:
        return
