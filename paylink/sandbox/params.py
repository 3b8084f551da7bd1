"""Stripe's form encoding, and validation as strict as Stripe's: what is not known is refused, by name.

``decode`` turns ``metadata[a]=b&expand[]=latest_charge`` into a tree; ``check`` walks the tree along a shape.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

from paylink.sandbox.errors import StripeError, invalid

Tree = dict[str, Any]
Check = Callable[[Any, str], Any]
MAX_TEXT = 5000
MAX_METADATA_KEYS = 50


@dataclass(frozen=True)
class Shape:
    """Parameter names and how each is checked. A nested mapping is a hash."""

    fields: Mapping[str, "Check | Shape"]
    required: tuple[str, ...] = ()
    # A hash that Stripe lets be cleared by an empty string.
    clearable: bool = field(default=False)


def decode(raw: bytes) -> Tree:
    """The nested tree of a form body or a query string. Text only: types are judged by ``check``."""
    tree: Tree = {}
    for name, value in parse_qsl(raw.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=1000):
        _insert(tree, _path(name), value, name)
    return tree


def _path(name: str) -> list[str]:
    head, *rest = name.split("[")
    return [head, *(part.removesuffix("]") for part in rest)]


def _insert(tree: Tree, path: list[str], value: str, name: str) -> None:
    node: Any = tree
    for key, following in zip(path, [*path[1:], None], strict=True):
        last = following is None
        if isinstance(node, list):
            if last:
                node.append(value)
                return
            raise invalid(f"Invalid array: {name}", param=name)
        if last:
            node[key or "0"] = value
            return
        fresh: Any = [] if following == "" else {}
        node = node.setdefault(key, fresh)
        if not isinstance(node, list | dict):
            raise invalid(f"Invalid object: {name}", param=name)


def check(tree: Tree, shape: Shape, *, prefix: str = "") -> Tree:
    """The tree with real types. Raises what Stripe answers: the first fault, with its ``param``."""
    unknown = [name for name in tree if name not in shape.fields]
    if unknown:
        names = [_join(prefix, name) for name in unknown]
        plural = "s" if len(names) > 1 else ""
        raise invalid(
            f"Received unknown parameter{plural}: {', '.join(names)}", param=names[0], code="parameter_unknown"
        )
    for name in shape.required:
        if tree.get(name) in (None, ""):
            full = _join(prefix, name)
            raise invalid(f"Missing required param: {full}.", param=full, code="parameter_missing")
    return {name: _check_one(value, shape.fields[name], _join(prefix, name)) for name, value in tree.items()}


def _check_one(value: Any, rule: "Check | Shape", param: str) -> Any:
    if not isinstance(rule, Shape):
        return rule(value, param)
    if value == "" and rule.clearable:
        return None
    if not isinstance(value, dict):
        raise invalid("Invalid object", param=param)
    return check(value, rule, prefix=param)


def _join(prefix: str, name: str) -> str:
    return f"{prefix}[{name}]" if prefix else name


def text(*, max_length: int = MAX_TEXT, clearable: bool = True) -> Check:
    def checked(value: Any, param: str) -> str | None:
        if not isinstance(value, str):
            raise invalid("Invalid string: " + str(value)[:40], param=param)
        if value == "" and not clearable:
            raise invalid(
                f"You passed an empty string for '{param}'. We assume empty values are an attempt to unset a "
                f"parameter; however '{param}' cannot be unset. You should remove '{param}' from your request or "
                "supply a non-empty value.",
                param=param,
                code="parameter_invalid_empty",
            )
        if len(value) > max_length:
            raise invalid(
                f"Invalid string: must be at most {max_length} characters", param=param, code="parameter_invalid_string"
            )
        return value or None

    return checked


def integer(*, least: int | None = None) -> Check:
    def checked(value: Any, param: str) -> int:
        digits = value.removeprefix("-") if isinstance(value, str) else ""
        if not (digits.isascii() and digits.isdigit()) or len(digits) > 18:
            raise invalid(f"Invalid integer: {str(value)[:40]}", param=param, code="parameter_invalid_integer")
        number = int(value)
        if least is not None and number < least:
            message = f"This value must be greater than or equal to {least}."
            raise invalid(message, param=param, code="parameter_invalid_integer")
        return number

    return checked


def boolean(value: Any, param: str) -> bool:
    if value not in ("true", "false"):
        raise invalid(f"Invalid boolean: {str(value)[:40]}", param=param)
    return bool(value == "true")


def choice(*values: str, clearable: bool = False) -> Check:
    def checked(value: Any, param: str) -> str | None:
        if value == "" and clearable:
            return None
        if value not in values:
            listed = ", ".join(values[:-1]) + (f", or {values[-1]}" if len(values) > 1 else values[0])
            raise invalid(f"Invalid {param}: must be one of {listed}", param=param)
        return str(value)

    return checked


def array(rule: Check) -> Check:
    def checked(value: Any, param: str) -> list[Any]:
        items = list(value.values()) if isinstance(value, dict) else value
        if not isinstance(items, list):
            raise invalid("Invalid array", param=param)
        return [rule(item, f"{param}[{index}]") for index, item in enumerate(items)]

    return checked


def metadata(value: Any, param: str) -> dict[str, str | None]:
    """50 keys of 40 characters, values of 500; an empty value unsets its key, an empty string all."""
    if value == "":
        return {}
    if not isinstance(value, dict) or not all(isinstance(v, str) for v in value.values()):
        raise invalid("Invalid object", param=param)
    if len(value) > MAX_METADATA_KEYS:
        raise invalid(f"Metadata can have at most {MAX_METADATA_KEYS} keys", param=param)
    for key, item in value.items():
        if len(key) > 40 or len(item) > 500:
            message = f"Metadata keys can be up to 40 characters long, values up to 500: {key[:40]}"
            raise invalid(message, param=param)
    return {key: item or None for key, item in value.items()}


def time_range(value: Any, param: str) -> dict[str, int]:
    """``created=1`` or ``created[gte]=1``: Unix seconds."""
    whole = integer(least=0)
    if isinstance(value, dict):
        if wrong := [name for name in value if name not in ("gt", "gte", "lt", "lte")]:
            full = _join(param, wrong[0])
            raise invalid(f"Received unknown parameter: {full}", param=full, code="parameter_unknown")
        return {name: whole(item, _join(param, name)) for name, item in value.items()}
    moment = whole(value, param)
    return {"gte": moment, "lte": moment}


def refuse(message: Callable[[str], StripeError]) -> Check:
    """A parameter that is known and may not be used."""

    def checked(value: Any, param: str) -> None:
        raise message(param)

    return checked
