"""Chats on the wire, for the console and programs with a key."""

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from paylink.chats.models import Chat, ChatMessage, Sender
from paylink.chats.service import is_online
from paylink.chats.text import Said
from paylink.kit.clock import rfc3339


class LastMessageOut(BaseModel):
    sender: Sender
    text: str
    at: datetime


class ChatOut(BaseModel):
    id: str
    object: Literal["chat"] = "chat"
    code: str = Field(description="What the visitor sees and can say on the phone")
    visitor_name: str | None
    site: str = Field(description="The site the visitor is on")
    locale: str | None
    online: bool = Field(description="Whether the visitor's browser has the chat open just now")
    last_message: LastMessageOut | None
    created_at: datetime
    seen_at: datetime = Field(description="When the visitor was last here")


class ChatList(BaseModel):
    object: Literal["list"] = "list"
    data: list[ChatOut]
    has_more: bool


class ChatMessageIn(BaseModel):
    model_config = ConfigDict(extra="forbid")

    text: Said


class ChatMessageOut(BaseModel):
    id: str
    object: Literal["chat_message"] = "chat_message"
    sender: Sender
    name: str | None
    text: str
    delivery: str | None = Field(description="The delivery whose payment link it carries")
    created_at: datetime
    delivered_at: datetime | None = Field(description="When the other side's browser had it")
    read_at: datetime | None


class ChatMessageList(BaseModel):
    object: Literal["list"] = "list"
    data: list[ChatMessageOut]
    has_more: bool


def chat_form(chat: Chat, last: ChatMessage | None) -> dict[str, Any]:
    return {
        "id": chat.id,
        "object": "chat",
        "code": chat.code,
        "visitor_name": chat.visitor_name,
        "site": chat.site,
        "locale": chat.locale,
        "online": is_online(chat),
        "last_message": last and {"sender": last.sender, "text": last.text, "at": rfc3339(last.created_at)},
        "created_at": rfc3339(chat.created_at),
        "seen_at": rfc3339(chat.seen_at),
    }


def message_form(message: ChatMessage) -> dict[str, Any]:
    """Without the link's address, which is the visitor's alone."""
    return {
        "id": message.id,
        "object": "chat_message",
        "sender": message.sender,
        "name": message.name,
        "text": message.text,
        "delivery": message.delivery_id,
        "created_at": rfc3339(message.created_at),
        "delivered_at": rfc3339(message.delivered_at) if message.delivered_at else None,
        "read_at": rfc3339(message.read_at) if message.read_at else None,
    }
