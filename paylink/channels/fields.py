"""What a provider asks for, read from its ``Config``: for the form in the console, and for what may be shown again."""

from collections.abc import Mapping
from enum import Enum, StrEnum
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, SecretBytes, SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined


class FieldType(StrEnum):
    STRING = "string"
    INTEGER = "integer"
    BOOLEAN = "boolean"
    CHOICE = "choice"
    TEXT = "text"  # of several lines


def fields_of(model: type[BaseModel]) -> list[dict[str, Any]]:
    """Each field as the console's form needs it, in the order they were written in."""
    return [_field(name, field) for name, field in model.model_fields.items()]


def secrets_of(model: type[BaseModel]) -> list[str]:
    return [name for name, field in model.model_fields.items() if _is_secret(field.annotation)]


def revealed(config: BaseModel) -> dict[str, Any]:
    """As plain values that ``model_validate`` takes again, secrets too: only ever to be sealed."""
    return {name: _reveal(value) for name, value in config.model_dump().items()}


def shown(config: Mapping[str, Any], model: type[BaseModel]) -> tuple[dict[str, Any], list[str]]:
    """What may be shown of sealed settings, and which secrets are set."""
    secrets = secrets_of(model)
    open_values = {name: config.get(name) for name in model.model_fields if name not in secrets}
    return open_values, [name for name in secrets if config.get(name)]


def merged(before: Mapping[str, Any], changes: Mapping[str, Any], model: type[BaseModel]) -> dict[str, Any]:
    """``null`` sets a field back to its default. A secret left out or empty stays: a form cannot show it."""
    secrets = secrets_of(model)
    kept = {name: value for name, value in changes.items() if not (name in secrets and value == "")}
    everything = {**before, **kept}
    return {name: value for name, value in everything.items() if not (name in changes and value is None)}


def _field(name: str, field: FieldInfo) -> dict[str, Any]:
    secret = _is_secret(field.annotation)
    choices = _choices(field.annotation)
    default = None if secret or field.default is PydanticUndefined else field.default
    return {
        "name": name,
        "title": field.title or name.replace("_", " ").capitalize(),
        "description": field.description or "",
        "type": _type(field, choices).value,
        "choices": choices,
        "required": field.is_required(),
        "secret": secret,
        "default": _reveal(default),
    }


def _type(field: FieldInfo, choices: list[str] | None) -> FieldType:
    kinds = set(_parts(field.annotation))
    extra = field.json_schema_extra
    if choices is not None:
        return FieldType.CHOICE
    if bool in kinds:
        return FieldType.BOOLEAN
    if int in kinds:
        return FieldType.INTEGER
    lines = isinstance(extra, dict) and extra.get("format") in {"text", "multiline"}
    return FieldType.TEXT if lines else FieldType.STRING


def _choices(annotation: Any) -> list[str] | None:
    for part in _parts(annotation):
        if get_origin(part) is Literal:
            return [str(one) for one in get_args(part)]
        if isinstance(part, type) and issubclass(part, Enum):
            return [str(one.value) for one in part]
    return None


def _is_secret(annotation: Any) -> bool:
    return bool({SecretStr, SecretBytes} & set(_parts(annotation)))


def _parts(annotation: Any) -> list[Any]:
    """The types a value may have, ``None`` aside; of a list, those of its items."""
    if get_origin(annotation) in {Union, UnionType, list, tuple, frozenset, set}:
        return [part for inner in get_args(annotation) for part in _parts(inner)]
    annotated = getattr(annotation, "__metadata__", None)
    if annotated is not None:
        return _parts(annotation.__origin__)
    return [] if annotation in {NoneType, Ellipsis} else [annotation]


def _reveal(value: Any) -> Any:
    match value:
        case SecretStr() | SecretBytes():
            return value.get_secret_value()
        case Enum():
            return value.value
        case list() | tuple() | set() | frozenset():
            return [_reveal(one) for one in value]
        case dict():
            return {key: _reveal(one) for key, one in value.items()}
    return value
