"""Lists with Stripe's cursors, and the expansion of ids into objects."""

import json
from collections.abc import Sequence
from typing import Any

from paylink.sandbox.errors import invalid, missing
from paylink.sandbox.store import Json, Tx

KINDS = {
    "ch": "charge", "pi": "payment_intent", "pm": "payment_method", "prv": "review", "re": "refund", "du": "dispute"
}  # fmt: skip
_COMPARE = {"gt": ">", "gte": ">=", "lt": "<", "lte": "<="}
# What an event's webhook came to: pending, done, dropped on demand, or given up.
_UNDELIVERED = "id IN (SELECT source FROM outbox WHERE state != 'done' AND forged = 0)"


def page(tx: Tx, kind: str, params: Json, *, url: str) -> Json:
    """Newest first. ``params`` as checked; names that are not paging are compared with the object's own fields."""
    where, values = _conditions(kind, params)
    limit = params.get("limit", 10)
    if not 1 <= limit <= 100:
        raise invalid("This value must be between 1 and 100 (inclusive).", param="limit")
    backwards = "ending_before" in params
    for name, sign in (("starting_after", "<"), ("ending_before", ">")):
        if params.get(name):
            where.append(f"seq {sign} ?")
            values.append(_seq(tx, kind, params[name], param=name))
    order = "ASC" if backwards else "DESC"
    sql = f"SELECT body FROM objects WHERE {' AND '.join(where)} ORDER BY seq {order} LIMIT ?"  # noqa: S608 - own words
    rows = [json.loads(row["body"]) for row in tx.all(sql, *values, limit + 1)]
    data = rows[:limit]
    if backwards:
        data.reverse()
    return {"object": "list", "data": data, "has_more": len(rows) > limit, "url": url}


def _conditions(kind: str, params: Json) -> tuple[list[str], list[Any]]:
    where, values = ["kind = ?"], [kind]
    for name, value in params.items():
        if name == "created":
            for sign, moment in value.items():
                where.append(f"created {_COMPARE[sign]} ?")
                values.append(moment)
        elif name == "delivery_success":
            where.append(f"NOT {_UNDELIVERED}" if value else _UNDELIVERED)
        elif name in ("type", "types"):
            clause, wanted = _types(value if isinstance(value, list) else [value])
            where.append(clause)
            values += wanted
        elif name in ("payment_intent", "charge", "customer"):
            where.append(f"json_extract(body, '$.{name}') = ?")
            values.append(value)
    return where, values


def _types(wanted: Sequence[str]) -> tuple[str, list[str]]:
    """``charge.*`` matches as Stripe's event filter does."""
    clause = " OR ".join(["json_extract(body, '$.type') GLOB ?"] * len(wanted)) or "0"
    return f"({clause})", list(wanted)


def _seq(tx: Tx, kind: str, object_id: str, *, param: str) -> int:
    row = tx.one("SELECT seq FROM objects WHERE id = ? AND kind = ?", object_id, kind)
    if row is None:
        raise missing(kind, object_id, param=param)
    return int(row["seq"])


def expand(tx: Tx, answer: Json, paths: Sequence[str]) -> Json:
    """Replaces ids by objects along Stripe's paths, such as ``data.latest_charge``. Raises 400 for what has no id."""
    for path in paths:
        if path.count(".") >= 4:
            raise invalid("You cannot expand more than 4 levels of a property.", param="expand[0]")
        _expand_one(tx, answer, path.split("."), path)
    return answer


def _expand_one(tx: Tx, obj: Json, parts: Sequence[str], path: str) -> None:
    name, rest = parts[0], parts[1:]
    if obj.get("object") == "list" and name == "data" and rest:
        for item in obj["data"]:
            _expand_one(tx, item, rest, path)
        return
    if obj.get("object") == "charge" and name == "refunds":
        obj["refunds"] = _refunds(tx, obj["id"])
        return
    if name not in obj or name == "data":
        raise invalid(f"This property cannot be expanded ({path}).", param="expand[0]")
    value = obj[name]
    if isinstance(value, str):
        obj[name] = value = tx.get(value, _kind(value, path)) or value
    if rest and isinstance(value, dict):
        _expand_one(tx, value, rest, path)


def _kind(object_id: str, path: str) -> str:
    kind = KINDS.get(object_id.partition("_")[0])
    if kind is None:
        raise invalid(f"This property cannot be expanded ({path}).", param="expand[0]")
    return kind


def _refunds(tx: Tx, charge_id: str) -> Json:
    data = list(reversed(tx.children(charge_id, "refund")))
    return {"object": "list", "data": data, "has_more": False, "url": f"/v1/charges/{charge_id}/refunds"}
