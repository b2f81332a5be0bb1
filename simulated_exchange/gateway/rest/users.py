"""Members and their keys: what a key is, sub-accounts, further keys.

Belongs here: which view answers which question, and the steps of the key store. Does not belong here: names
and texts of rows, checking what a key may do (`gateway.auth`).
"""

from __future__ import annotations

from typing import Any

from simulated_exchange.accounts import ApiKey, Member
from simulated_exchange.gateway.rest.route import Call, Route
from simulated_exchange.gateway.translate import keys as rows
from simulated_exchange.gateway.translate import queries
from simulated_exchange.gateway.translate.body import whole_number
from simulated_exchange.gateway.translate.refusals import bad_request, permission_denied, unknown_api_key

__all__ = ["ROUTES"]

Result = dict[str, Any]

NOTE_MAX = 64


def _key(call: Call) -> ApiKey:
    assert call.key is not None
    return call.key


def _member(call: Call) -> Member:
    member = call.venue.keys.member(call.account)
    assert member is not None
    return member


def _own_key(call: Call) -> Result:
    level = call.venue.driver.account(call.account).level
    return rows.api_key_row(_key(call), _member(call), level, call.now_ms)


def _main(call: Call) -> Member:
    """The caller, who must be a main account."""
    member = _member(call)
    if member.main:
        raise permission_denied()
    return member


def _sub(call: Call, account: int) -> Member:
    """One of the caller's sub-accounts."""
    member = call.venue.keys.member(account)
    if member is None or member.main != _main(call).account:
        raise bad_request("params error: not one of your sub-accounts")
    return member


def _note(call: Call) -> str:
    note = call.body.get("note") or ""
    if not isinstance(note, str) or len(note) > NOTE_MAX:
        raise bad_request(f"params error: note must be text of at most {NOTE_MAX} characters")
    return note


# -- sub-accounts --------------------------------------------------------------------------------------------


def _create_sub(call: Call) -> Result:
    main, name = _main(call), call.body.get("username")
    if not isinstance(name, str):
        raise bad_request("params error: username must be text")
    try:
        member = call.venue.open_sub_account(main.account, name, _note(call))
    except ValueError as error:
        raise bad_request(f"params error: {error}") from None
    row = rows.member_row(member)
    del row["accountMode"]
    return row


def _subs(call: Call) -> Result:
    members = call.venue.keys.sub_members(_main(call).account)
    count, before = queries.page_size(call.query), queries.member_id(call.query, "nextCursor")
    later = [member for member in members if member.account > before]
    cursor = str(later[count - 1].account) if len(later) > count else "0"
    return {"subMembers": [rows.member_row(member) for member in later[:count]], "nextCursor": cursor}


def _all_subs(call: Call) -> Result:
    members = call.venue.keys.sub_members(_main(call).account)
    return {"subMembers": [rows.member_row(member) for member in members]}


def _sub_ids(call: Call) -> Result:
    ids = [str(member.account) for member in call.venue.keys.sub_members(_main(call).account)]
    return {"subMemberIds": ids, "transferableSubMemberIds": ids}


def _freeze(call: Call) -> Result:
    member = _sub(call, whole_number(call.body, "subuid"))
    frozen = whole_number(call.body, "frozen")
    if frozen not in (0, 1):
        raise bad_request("params error: frozen invalid, must be 0 or 1")
    call.venue.keys.freeze(member.account, bool(frozen))
    return {}


def _remove_sub(call: Call) -> Result:
    call.venue.keys.remove_sub(_sub(call, whole_number(call.body, "subMemberId")).account)
    return {}


def _member_types(call: Call) -> Result:
    kinds = ["UNIFIED", "FUND"]
    members = [_member(call), *call.venue.keys.sub_members(call.account)]
    return {"accounts": [{"uid": str(member.account), "accountType": kinds} for member in members]}


# -- keys ----------------------------------------------------------------------------------------------------


def _terms(call: Call, *, is_new: bool) -> dict[str, Any]:
    """What a request says of a key; what it leaves out stays as it is."""
    body = call.body
    terms: dict[str, Any] = {}
    if body.get("readOnly") is not None:
        terms["is_read_only"] = whole_number(body, "readOnly") == 1
    if body.get("permissions") is not None or is_new:
        terms["scopes"] = rows.scopes_of(body.get("permissions"))
        own = _key(call).scopes
        if own is not None and not set(terms["scopes"]) <= set(own):
            raise permission_denied()  # nobody grants what he may not do himself
    if body.get("ips") is not None:
        terms["ips"] = rows.addresses(body.get("ips"))
    if is_new:
        terms["note"] = _note(call)
    return terms


def _create_sub_key(call: Call) -> Result:
    member = _sub(call, whole_number(call.body, "subuid"))
    try:
        key = call.venue.keys.issue(member.account, call.now_ms, **_terms(call, is_new=True))
    except ValueError as error:
        raise bad_request(f"params error: {error}") from None
    return rows.issued_key_row(key, with_secret=True)


def _sub_keys(call: Call) -> Result:
    member = _sub(call, queries.member_id(call.query, "subMemberId"))
    found = [rows.sub_key_row(key, call.now_ms) for key in call.venue.keys.keys_of(member.account)]
    return {"result": found, "nextPageCursor": ""}


def _named_sub_key(call: Call) -> ApiKey:
    """The sub-account's key that a request names, or the caller's own when it is a sub-account's."""
    text = call.body.get("apikey")
    if not text:
        return _key(call)
    key = call.venue.keys.by_key(text) if isinstance(text, str) else None
    if key is None:
        raise unknown_api_key()
    _sub(call, key.account)
    return key


def _update(call: Call, key: ApiKey) -> Result:
    changed = call.venue.keys.modify(key.api_key, **_terms(call, is_new=False))
    return rows.issued_key_row(changed, with_secret=False)


def _delete(call: Call, key: ApiKey) -> Result:
    call.venue.keys.delete(key.api_key)
    return {}


def _write(step: Any) -> Route:
    return Route(step, is_write=True, group="key", scope="sub_transfer")


ROUTES: dict[tuple[str, str], Route] = {
    ("GET", "/v5/user/query-api"): Route(_own_key, group="key"),
    ("GET", "/v5/user/get-member-type"): Route(_member_types, group="key"),
    ("GET", "/v5/user/query-sub-members"): Route(_all_subs, group="key"),
    ("GET", "/v5/user/submembers"): Route(_subs, group="key"),
    ("GET", "/v5/asset/transfer/query-sub-member-list"): Route(_sub_ids, group="history"),
    ("GET", "/v5/user/sub-apikeys"): Route(_sub_keys, group="key"),
    ("POST", "/v5/user/create-sub-member"): _write(_create_sub),
    ("POST", "/v5/user/frozen-sub-member"): _write(_freeze),
    ("POST", "/v5/user/del-submember"): _write(_remove_sub),
    ("POST", "/v5/user/create-sub-api"): _write(_create_sub_key),
    ("POST", "/v5/user/update-api"): _write(lambda call: _update(call, _key(call))),
    ("POST", "/v5/user/update-sub-api"): _write(lambda call: _update(call, _named_sub_key(call))),
    ("POST", "/v5/user/delete-api"): _write(lambda call: _delete(call, _key(call))),
    ("POST", "/v5/user/delete-sub-api"): _write(lambda call: _delete(call, _named_sub_key(call))),
}
