"""Envelopes of REST answers and frames of the sockets.

Belongs here: the outermost shape of everything that is sent, and the shape of what clients ask on a socket.
Does not belong here: the rows inside.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from simulated_exchange.gateway.translate.refusals import RefusedError, bad_request, invalid_parameter

__all__ = [
    "AuthFrame",
    "TradeFrame",
    "auth_frame",
    "batch_answer",
    "envelope",
    "frame_topics",
    "page",
    "private_frame",
    "public_frame",
    "rate_limit_headers",
    "rate_limit_lines",
    "refusal_envelope",
    "stream_auth",
    "stream_failure",
    "stream_pong",
    "stream_subscription",
    "trade_answer",
    "trade_auth",
    "trade_frame",
    "trade_pong",
]

Frame = dict[str, Any]

TOPICS_PER_FRAME_MAX = 2000
REQUEST_ID_MAX = 36
_WELL: Frame = {"code": 0, "msg": "OK"}


# -- REST ----------------------------------------------------------------------------------------------------


def envelope(result: Any, now_ms: int, extra: Any = None, text: str = "OK") -> Frame:
    """An answer that went well."""
    return {"retCode": 0, "retMsg": text, "result": result, "retExtInfo": extra or {}, "time": now_ms}


def refusal_envelope(refusal: RefusedError, now_ms: int) -> Frame:
    """An answer that did not."""
    return {
        "retCode": refusal.code,
        "retMsg": refusal.text,
        "result": refusal.result,
        "retExtInfo": {},
        "time": now_ms,
    }


def rate_limit_headers(
    limit: int, remaining: int, reset_ms: int, now_ms: int, trace_id: str
) -> dict[str, str]:
    """The headers of an answer on the trade socket."""
    return {
        "X-Bapi-Limit": str(limit),
        "X-Bapi-Limit-Status": str(remaining),
        "X-Bapi-Limit-Reset-Timestamp": str(reset_ms),
        "Traceid": trace_id,
        "Timenow": str(now_ms),
    }


def rate_limit_lines(limit: int, remaining: int, reset_ms: int, now_ms: int, number: int) -> str:
    """The same as the lines of an HTTP head."""
    return (
        f"X-Bapi-Limit: {limit}\r\nX-Bapi-Limit-Status: {remaining}\r\n"
        f"X-Bapi-Limit-Reset-Timestamp: {reset_ms}\r\nTraceid: {number:032x}\r\nTimenow: {now_ms}\r\n"
    )


def page(category: str | None, rows: list[Any], cursor: str = "") -> Frame:
    """A list with its cursor; "" on the last page."""
    result: Frame = {} if category is None else {"category": category}
    result["nextPageCursor"] = cursor
    result["list"] = rows
    return result


def batch_answer(rows: list[Frame], refusals: list[RefusedError | None]) -> tuple[Frame, Frame]:
    """Result and extra information of a batch: rows and codes side by side."""
    codes = [
        _WELL if refusal is None else {"code": refusal.code, "msg": refusal.text} for refusal in refusals
    ]
    return {"list": rows}, {"list": codes}


# -- sockets -------------------------------------------------------------------------------------------------


class AuthFrame(NamedTuple):
    """What a client signs a socket with."""

    api_key: str
    expires_ms: int
    signature: str


class TradeFrame(NamedTuple):
    """One request on the trade socket."""

    request_id: str
    operation: str
    timestamp: str
    recv_window: str
    body: Mapping[str, Any]


def auth_frame(frame: Mapping[str, Any]) -> AuthFrame:
    """The arguments of an auth frame; `expires` may be text or number."""
    arguments = frame.get("args")
    if not isinstance(arguments, list) or len(arguments) != 3:
        raise bad_request("params error: args must be [key, expires, signature]")
    api_key, expires, signature = arguments
    if not isinstance(api_key, str) or not isinstance(signature, str):
        raise bad_request("params error: key and signature must be text")
    text = str(expires)
    if isinstance(expires, bool) or not text.isascii() or not text.isdigit() or len(text) > 19:
        raise bad_request("params error: expires must be a time in milliseconds")
    return AuthFrame(api_key, int(text), signature)


def frame_topics(frame: Mapping[str, Any]) -> list[str]:
    """The topics of a subscribe or unsubscribe frame."""
    arguments = frame.get("args")
    if not isinstance(arguments, list) or not 1 <= len(arguments) <= TOPICS_PER_FRAME_MAX:
        raise bad_request(f"error:args must be a list of 1 to {TOPICS_PER_FRAME_MAX} topics")
    if not all(isinstance(topic, str) for topic in arguments):
        raise bad_request("error:args must be a list of texts")
    return arguments


def public_frame(topic: str, kind: str, data: Any, now_ms: int, **extra: Any) -> Frame:
    """A push of market data; `kind` is snapshot or delta."""
    return {"topic": topic, "type": kind, "ts": now_ms, "data": data, **extra}


def private_frame(topic: str, rows: list[Frame], identity: str, now_ms: int) -> Frame:
    """A push to one account."""
    if topic.startswith("execution.fast"):
        return {"topic": topic, "creationTime": now_ms, "data": rows}
    return {"id": identity, "topic": topic, "creationTime": now_ms, "data": rows}


def _with_request(answer: Frame, frame: Mapping[str, Any]) -> Frame:
    if "req_id" in frame:
        answer["req_id"] = frame["req_id"]
    return answer


def stream_subscription(frame: Mapping[str, Any], connection: str, failure: str = "") -> Frame:
    """Answer to subscribe and unsubscribe."""
    answer = {"success": not failure, "ret_msg": failure, "conn_id": connection}
    _with_request(answer, frame)
    answer["op"] = frame.get("op", "")
    return answer


def stream_failure(frame: Mapping[str, Any], connection: str, text: str) -> Frame:
    """Answer to a frame that a stream socket cannot understand."""
    return stream_subscription({**frame, "op": str(frame.get("op", ""))[:64]}, connection, text)


def stream_auth(frame: Mapping[str, Any], connection: str, failure: str = "") -> Frame:
    """Answer to auth on the private socket."""
    answer = {"success": not failure, "ret_msg": failure, "op": "auth", "conn_id": connection}
    return _with_request(answer, frame)


def stream_pong(frame: Mapping[str, Any], connection: str, now_ms: int, *, is_private: bool) -> Frame:
    """Answer to ping: two forms, and clients expect the one of their socket."""
    if is_private:
        answer: Frame = {"op": "pong", "args": [str(now_ms)], "conn_id": connection}
        return _with_request(answer, frame)
    answer = {"success": True, "ret_msg": "pong", "conn_id": connection}
    _with_request(answer, frame)
    answer["op"] = "ping"
    return answer


def trade_auth(frame: Mapping[str, Any], connection: str, code: int = 0, text: str = "OK") -> Frame:
    """Answer to auth on the trade socket."""
    answer = {"retCode": code, "retMsg": text, "op": "auth", "connId": connection}
    if "reqId" in frame:
        answer["reqId"] = frame["reqId"]
    return answer


def trade_pong(connection: str, now_ms: int) -> Frame:
    """Answer to ping on the trade socket."""
    return {"retCode": 0, "retMsg": "OK", "op": "pong", "data": [str(now_ms)], "connId": connection}


def trade_frame(frame: Mapping[str, Any]) -> TradeFrame:
    """A request on the trade socket."""
    request_id, header = frame.get("reqId", ""), frame.get("header")
    if not isinstance(request_id, str) or len(request_id) > REQUEST_ID_MAX:
        raise invalid_parameter("reqId", f"text of at most {REQUEST_ID_MAX} characters")
    if not isinstance(header, dict):
        raise invalid_parameter("header", "an object with X-BAPI-TIMESTAMP")
    arguments = frame.get("args")
    if not isinstance(arguments, list) or len(arguments) != 1 or not isinstance(arguments[0], dict):
        raise invalid_parameter("args", "a list of one object")
    return TradeFrame(
        request_id,
        str(frame.get("op", "")),
        str(header.get("X-BAPI-TIMESTAMP", "")),
        str(header.get("X-BAPI-RECV-WINDOW", "")),
        arguments[0],
    )


def trade_answer(
    frame: Mapping[str, Any],
    connection: str,
    headers: dict[str, str],
    *,
    data: Any = None,
    extra: Any = None,
    refusal: RefusedError | None = None,
) -> Frame:
    """Answer to a request on the trade socket."""
    return {
        "reqId": frame.get("reqId", ""),
        "retCode": refusal.code if refusal else 0,
        "retMsg": refusal.text if refusal else "OK",
        "op": str(frame.get("op", ""))[:64],
        "data": data or {},
        "retExtInfo": extra or {},
        "header": headers,
        "connId": connection,
    }
