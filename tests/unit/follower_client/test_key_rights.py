"""What an API key may do, and what is refused for it."""

from __future__ import annotations

from typing import Any

import pytest

from follower_client.errors import VenueUnavailableError
from follower_client.venue.key_rights import KeyRights, objections

GOOD: dict[str, Any] = {
    "permissions": {"ContractTrade": ["Order", "Position"], "Wallet": []},
    "readOnly": 0,
    "ips": ["203.0.113.7"],
    "kycLevel": "LEVEL_1",
    "uta": 1,
}


def refused(*, real_money: bool = True, **changes: Any) -> dict[str, bool]:
    """Name of each objection -> whether nothing is started for it."""
    key = KeyRights.of({"result": {**GOOD, **changes}})
    return {one.name: one.is_fatal for one in objections(key, real_money=real_money)}


def test_a_key_that_may_trade_and_nothing_else_is_taken() -> None:
    assert refused() == {}
    assert refused(permissions={"Derivatives": ["DerivativesTrade"]}) == {}


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"permissions": {**GOOD["permissions"], "Wallet": ["Withdraw"]}}, {"withdraw": True}),
        ({"permissions": {**GOOD["permissions"], "Wallet": ["AccountTransfer"]}}, {"transfer": False}),
        ({"permissions": {"ContractTrade": ["Order"]}}, {"trade": True}),
        ({"permissions": {}}, {"trade": True}),
        ({"readOnly": 1}, {"trade": True}),
        ({"ips": []}, {"ip": True}),
        ({"ips": ["*"]}, {"ip": True}),
        ({"kycLevel": "LEVEL_DEFAULT"}, {"kyc": True}),
        ({"uta": 0}, {"unified": True}),
        ({"deadlineDay": 3}, {"expiry": False}),
        ({"deadlineDay": -1}, {}),
        ({"deadlineDay": 60}, {}),
    ],
)
def test_each_objection_stands_for_one_right(changes: dict[str, Any], found: dict[str, bool]) -> None:
    assert refused(**changes) == found


def test_where_no_money_is_real_a_key_that_may_withdraw_is_only_warned_of() -> None:
    wide = {"permissions": {**GOOD["permissions"], "Wallet": ["Withdraw"]}, "ips": []}
    assert refused(real_money=False, **wide) == {"withdraw": False, "ip": False}
    assert refused(real_money=True, **wide) == {"withdraw": True, "ip": True}


@pytest.mark.parametrize(
    "answer", [None, "<html>", {}, {"result": {}}, {"result": []}, {"result": {"permissions": None}}]
)
def test_an_answer_without_rights_is_no_answer(answer: object) -> None:
    with pytest.raises(VenueUnavailableError):
        KeyRights.of(answer)
