"""The OpenAPI document of everything that is served: the wire's part, and the simulator's own.

Belongs here: building the document from the tables of fields. Does not belong here: routes' behaviour.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from simulated_exchange.driver_markets import MARK_SOURCES
from simulated_exchange.gateway.faults import Channel, FaultKind
from simulated_exchange.gateway.translate.fields import REQUEST_FIELDS, WORDS

__all__ = ["SIM_FIELDS", "openapi_document"]

Schema = dict[str, Any]

_KINDS: dict[str, Schema] = {
    "": {"type": "string"},
    "int": {"type": "integer"},
    "bool": {"type": "boolean"},
    "list": {"type": "array", "items": {"type": "object"}, "minItems": 1, "maxItems": 20},
    "object": {"type": "object"},
}
_BATCHES = {
    f"POST /v5/order/{name}-batch": f"POST /v5/order/{name}" for name in ("create", "amend", "cancel")
} | {"POST /v5/account/set-collateral-switch-batch": "POST /v5/account/set-collateral-switch"}
SIM_FIELDS: dict[str, str] = {
    "POST /sim/accounts": "name! deposit",
    "POST /sim/keys": "name! permissions:object ips read_only:bool expires_ms:int",
    "POST /sim/deposit": "name! amount! coin",
    "POST /sim/level": "name! level!",
    "POST /sim/index": "symbol! price! source:int",
    "POST /sim/market": "symbol! mark_source funding:object risk_limits:list effective_ms:int",
    "POST /sim/collateral": "coin! enabled!:bool",
    "POST /sim/smp-group": "name! group!:int",
    "POST /sim/lending/supply": "name! amount! coin",
    "POST /sim/lending/redeem": "name! amount coin",
    "GET /sim/lending": "coin",
    "POST /sim/scenario": "action!",
    "POST /sim/faults": (
        "kind! channel path name topics:words applied:bool silent:bool delay_ms:int status:int count:int "
        "seconds:int every:int"
    ),
    "POST /sim/faults/clear": "id:int",
    "GET /sim/faults": "",
    "GET /sim/stats": "",
    "GET /sim/history": "symbol!",
    "GET /sim/invariants": "",
    "GET /sim/openapi": "",
}
_SIM_WORDS: dict[str, tuple[object, ...]] = {
    "action": ("play", "pause"),
    "kind": tuple(FaultKind),
    "channel": tuple(Channel),
    "mark_source": tuple(MARK_SOURCES),
    "level": (*("unverified", "standard", "advanced", "business", "vip", "vip4", "vip5", "supreme", "pro"),),
}
_HEADERS = ("X-BAPI-API-KEY", "X-BAPI-TIMESTAMP", "X-BAPI-RECV-WINDOW", "X-BAPI-SIGN")
_SIGNING = (
    "X-BAPI-SIGN is the lower-case hex HMAC-SHA256, by the key's secret, of timestamp + key + receive window "
    "+ payload; the payload is the raw query string of a GET, the raw body of a POST. Every answer is HTTP "
    "200; retCode says what became of the request."
)


def openapi_document(routes: Iterable[tuple[str, str, bool]], *, with_sim: bool = True) -> dict[str, Any]:
    """The document; `routes` are method, path and whether the request is signed."""
    paths: dict[str, dict[str, Any]] = {}
    for method, path, is_signed in sorted(routes, key=lambda route: route[1]):
        operation = _operation(method, path, REQUEST_FIELDS.get(f"{method} {path}", ""), WORDS)
        operation["responses"] = {"200": _answer("#/components/schemas/Envelope")}
        if is_signed:
            operation["security"] = [{name: [] for name in _HEADERS}]
        paths.setdefault(path, {})[method.lower()] = operation
    for named, fields in SIM_FIELDS.items() if with_sim else ():
        method, _, path = named.partition(" ")
        operation = _operation(method, path, fields, _SIM_WORDS)
        operation["responses"] = {"200": _answer("#/components/schemas/Plain")}
        paths.setdefault(path, {})[method.lower()] = operation
    return {
        "openapi": "3.1.0",
        "info": {"title": "Simulated exchange", "version": "5", "description": _SIGNING},
        "paths": paths,
        "components": {"schemas": _SCHEMAS, "securitySchemes": _SCHEMES},
    }


def _operation(method: str, path: str, fields: str, words: dict[str, tuple[object, ...]]) -> dict[str, Any]:
    name = path.strip("/").replace("/", "_").replace("-", "_")
    operation: dict[str, Any] = {"operationId": f"{method.lower()}_{name}", "tags": [path.split("/")[2]]}
    properties, required = _properties(fields, words)
    if method == "GET":
        operation["parameters"] = [
            {"name": field, "in": "query", "required": field in required, "schema": schema}
            for field, schema in properties.items()
        ]
        return operation
    inner = _BATCHES.get(f"{method} {path}")
    if inner is not None:
        entry, needed = _properties(REQUEST_FIELDS[inner], words)
        entry.pop("category", None)
        needed = [field for field in needed if field != "category"]
        properties["request"] = {**_KINDS["list"], "items": _object(entry, needed)}
    content = {"application/json": {"schema": _object(properties, required)}}
    operation["requestBody"] = {"required": True, "content": content}
    return operation


def _properties(fields: str, words: dict[str, tuple[object, ...]]) -> tuple[dict[str, Schema], list[str]]:
    properties: dict[str, Schema] = {}
    required = []
    for field in fields.split():
        head, _, kind = field.partition(":")
        name = head.rstrip("!")
        if kind == "words":
            schema: Schema = {"type": "array", "items": {"type": "string"}}
        else:
            schema = dict(_KINDS[kind])
        if name in words and isinstance(words[name][0], int) == (kind == "int"):
            schema["enum"] = list(words[name])
        properties[name] = schema
        if head.endswith("!"):
            required.append(name)
    return properties, required


def _object(properties: dict[str, Schema], required: list[str]) -> Schema:
    return {"type": "object", "properties": properties, "required": required}


def _answer(schema: str) -> dict[str, Any]:
    content = {"application/json": {"schema": {"$ref": schema}}}
    return {"description": "What became of it", "content": content}


_ENVELOPE: Schema = {
    "type": "object",
    "required": ["retCode", "retMsg", "result", "retExtInfo", "time"],
    "properties": {
        "retCode": {"type": "integer"},
        "retMsg": {"type": "string"},
        "result": {"type": ["object", "array"]},
        "retExtInfo": {"type": "object"},
        "time": {"type": "integer"},
    },
}
_SCHEMAS: dict[str, Schema] = {"Envelope": _ENVELOPE, "Plain": {"type": "object"}}
_SCHEMES = {name: {"type": "apiKey", "in": "header", "name": name} for name in _HEADERS}
