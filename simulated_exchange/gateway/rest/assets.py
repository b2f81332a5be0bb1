"""Money in other wallets and between them: coins, balances, transfers, deposits, withdrawals.

Belongs here: which view answers which question, and the steps of moving money. Does not belong here: the
unified wallet (`rest.account`), members (`rest.users`), names and texts of rows.
"""

from __future__ import annotations

from typing import Any

from simulated_exchange.coins import Coin
from simulated_exchange.driver import Reject, Wallet
from simulated_exchange.errors import VenueBusyError
from simulated_exchange.gateway.rest.route import Call, Route
from simulated_exchange.gateway.translate import assets as rows
from simulated_exchange.gateway.translate import history, queries
from simulated_exchange.gateway.translate import money_requests as requests
from simulated_exchange.gateway.translate.frames import page
from simulated_exchange.gateway.translate.refusals import (
    bad_request,
    invalid_parameter,
    permission_denied,
    server_busy,
    transfer_repeated,
    withdrawal_repeated,
)
from simulated_exchange.gateway.translate.rejects import asset_refusal
from simulated_exchange.gateway.translate.wallets import funding_balance_row
from simulated_exchange.instruments import SCALE
from simulated_exchange.ledger.money_records import CashFlow, TransferRecord

__all__ = ["ROUTES"]

Result = dict[str, Any]

WALLETS = ("UNIFIED", "FUND", "CONTRACT", "SPOT")


def _coins(call: Call) -> Result:
    return rows.coin_information(queries.coins(call.query, call.venue.coins))


def _family_account(call: Call, name: str = "memberId") -> int:
    """The account meant: the caller's own, or one of its sub-accounts."""
    account = queries.member_id(call.query, name) or call.account
    member = call.venue.keys.member(account)
    if member is None or call.account not in (account, member.main):
        raise permission_denied()
    return account


def _balance(call: Call, account: int, kind: str, coin: Coin) -> tuple[int, int]:
    """What a wallet holds of a coin, and what of it may be moved."""
    view = next((entry for entry in call.venue.driver.purses(account) if entry.coin == coin.index), None)
    if view is None or kind not in ("UNIFIED", "FUND"):
        return 0, 0
    if kind == "FUND":
        return view.funding_balance, view.funding_balance
    return view.wallet_balance, max(call.venue.driver.transferable_amount(account, coin.index), 0)


def _balances(call: Call) -> Result:
    kind, account = queries.account_type(call.query, WALLETS), _family_account(call)
    found = [
        funding_balance_row(coin.name, *_balance(call, account, kind, coin))
        for coin in queries.coins(call.query, call.venue.coins)
    ]
    return rows.funding_wallet(kind, account, found)


def _one_balance(call: Call) -> Result:
    kind, account = queries.account_type(call.query, WALLETS), _family_account(call)
    coin = queries.named_coin(call.query, call.venue.coins)
    return rows.coin_balance(kind, account, coin.name, *_balance(call, account, kind, coin))


def _withdrawable(call: Call) -> Result:
    coin = queries.named_coin(call.query, call.venue.coins)
    room = call.venue.driver.account(call.account).withdrawal_room
    return rows.withdrawable_amounts(
        coin.name,
        room,
        _balance(call, call.account, "FUND", coin)[1],
        _balance(call, call.account, "UNIFIED", coin)[1],
    )


def _transfer_coins(call: Call) -> Result:
    return {"list": [coin.name for coin in call.venue.coins]}


# -- transfers -----------------------------------------------------------------------------------------------


def _transfer(call: Call, *, between_members: bool) -> Result:
    request = requests.transfer_request(call.body, call.venue.coins, between_members=between_members)
    source = request.source or call.account
    target = request.target or call.account
    if between_members:
        _require_family(call, source, target)
    _move(call, request, source, target)
    return {"transferId": request.identity, "status": "SUCCESS"}


def _require_family(call: Call, source: int, target: int) -> None:
    """A main account moves money between any of its family; a sub-account its own only."""
    caller = call.venue.keys.member(call.account)
    assert caller is not None
    for account in (source, target):
        member = call.venue.keys.member(account)
        if member is None or member.main_account != caller.main_account:
            raise bad_request("params error: fromMemberId and toMemberId must be of one family")
    if caller.main and source != call.account:
        raise permission_denied()


def _move(call: Call, request: requests.TransferRequest, source: int, target: int) -> None:
    venue = call.venue
    if venue.book.is_used("transfer", request.identity):
        raise transfer_repeated()

    def command() -> bool:
        outcome = venue.driver.transfer(
            source=source,
            target=target,
            coin=request.coin.index,
            amount=request.amount,
            from_wallet=request.from_wallet,
            to_wallet=request.to_wallet,
        )
        refused.extend([outcome.reject] if outcome.reject is not None else [])
        return outcome.reject is None

    refused: list[Any] = []
    _perform(call, "transfer", source, request.identity, {}, command)
    if refused:
        raise asset_refusal(refused[0])


def _perform(
    call: Call, kind: str, account: int, identity: str, details: dict[str, str], command: Any
) -> bool:
    count = call.venue.movement_count(kind, account)
    try:
        done: bool = call.venue.book.perform(kind, account, count, identity, details, command)
    except VenueBusyError:
        raise server_busy() from None
    return done


def _identity(call: Call, kind: str, account: int, ordinal: int) -> str:
    """The client's name for a movement, or ours where it gave none."""
    row = call.venue.book.of(kind, account, ordinal)
    return row.identity if row else f"{kind}-{account}-{ordinal}"


def _transfer_rows(call: Call, records: list[tuple[str, TransferRecord]], row: Any) -> Result:
    question = queries.flow_query(call.query, id_name="transferId")
    coins = call.venue.coins
    found = [
        (identity, record)
        for identity, record in sorted(records, key=lambda entry: entry[1].sequence, reverse=True)
        if record.sequence < question.before
        and question.coin in ("", coins[record.coin].name)
        and question.identity in ("", identity)
        and question.start_ms <= record.wall_us // 1000 <= question.end_ms
    ]
    if call.query.get("status", "SUCCESS") not in ("", "SUCCESS"):
        found = []
    shown = found[: question.limit]
    cursor = str(shown[-1][1].sequence) if len(found) > len(shown) else ""
    return page(None, [row(record, identity, coins[record.coin].name) for identity, record in shown], cursor)


def _records(call: Call, account: int) -> list[tuple[str, TransferRecord]]:
    transfers = call.venue.memory(account).money.transfers
    return [(_identity(call, "transfer", account, record.ordinal), record) for record in transfers]


def _own_transfers(call: Call) -> Result:
    found = [entry for entry in _records(call, call.account) if entry[1].source == entry[1].target]
    return _transfer_rows(call, found, history.transfer_row)


def _family_transfers(call: Call) -> Result:
    family = [call.account, *(member.account for member in call.venue.keys.sub_members(call.account))]
    found = [entry for account in family for entry in _records(call, account)]
    return _transfer_rows(call, found, history.universal_transfer_row)


# -- deposits and withdrawals --------------------------------------------------------------------------------


def _deposit_address(call: Call) -> Result:
    coin = queries.named_coin(call.query, call.venue.coins)
    return rows.deposit_address(coin.name, _family_account(call, "subMemberId"))


def _flows(call: Call, flows: Any) -> tuple[list[CashFlow], str]:
    question = queries.flow_query(call.query)
    found = [
        flow
        for flow in reversed(flows)
        if flow.sequence < question.before
        and question.coin in ("", call.venue.coins[flow.coin].name)
        and question.start_ms <= flow.wall_us // 1000 <= question.end_ms
    ]
    shown = found[: question.limit]
    return shown, str(shown[-1].sequence) if len(found) > len(shown) else ""


def _deposits(call: Call) -> Result:
    account, coins = _family_account(call, "subMemberId"), call.venue.coins
    shown, cursor = _flows(call, call.venue.memory(account).money.deposits)
    found = [history.deposit_row(flow, account, coins[flow.coin].name) for flow in shown]
    return {"rows": found, "nextPageCursor": cursor}


def _withdrawals(call: Call) -> Result:
    shown, cursor = _flows(call, call.venue.memory(call.account).money.withdrawals)
    found = []
    for flow in shown:
        row = call.venue.book.of("withdrawal", call.account, flow.ordinal)
        details = row.details if row else {}
        name = rows.withdrawal_id(call.account, flow.ordinal)
        if call.query.get("withdrawID", "") in ("", name):
            coin = call.venue.coins[flow.coin].name
            found.append(
                history.withdrawal_row(
                    flow,
                    coin,
                    name,
                    details.get("chain") or "ETH",
                    details.get("address", ""),
                    details.get("tag", ""),
                )
            )
    return {"rows": found, "nextPageCursor": cursor}


def _withdraw(call: Call) -> Result:
    """Out of the funding wallet; from the unified one the money is moved there first, if it may leave at
    all.
    """
    request = requests.withdrawal_request(call.body, call.venue.coins)
    venue, account, coin = call.venue, call.account, request.coin
    if request.identity and venue.book.is_used("withdrawal", request.identity):
        raise withdrawal_repeated()
    room, price = venue.driver.account(account).withdrawal_room, venue.usd_price(coin.index)
    if -(-request.amount * price // SCALE) > room:
        raise asset_refusal(Reject.WithdrawalLimit)
    count = venue.movement_count("withdrawal", account)
    refused: list[Any] = []
    if request.from_unified:
        outcome = venue.driver.transfer(
            source=account,
            target=account,
            coin=coin.index,
            amount=request.amount,
            from_wallet=Wallet.Unified,
            to_wallet=Wallet.Funding,
        )
        if outcome.reject is not None:
            raise asset_refusal(outcome.reject)

    def command() -> bool:
        outcome = venue.driver.withdraw(account, request.amount, coin.index)
        refused.extend([outcome.reject] if outcome.reject is not None else [])
        return outcome.reject is None

    details = {"address": request.address, "chain": request.chain, "tag": request.tag}
    identity = request.identity or rows.withdrawal_id(account, count + 1)
    if not _perform(call, "withdrawal", account, identity, details, command):
        if request.from_unified:
            venue.driver.transfer(
                source=account,
                target=account,
                coin=coin.index,
                amount=request.amount,
                from_wallet=Wallet.Funding,
                to_wallet=Wallet.Unified,
            )
        raise asset_refusal(refused[0])
    place = venue.book.number("withdrawal", account)
    return {"id": rows.withdrawal_id(account, place)}


def _cancel_withdrawal(call: Call) -> Result:
    if not isinstance(call.body.get("id"), str):
        raise invalid_parameter("id", "a withdrawal's")
    raise bad_request("params error: the withdrawal has been completed")


def _delivery_records(call: Call) -> Result:
    question = queries.history_query(call.query, call.venue.catalogue, default_limit=20, limit_max=50)
    if question is None:
        return page(call.query.get("category", ""), [])
    catalogue = call.venue.catalogue
    found = [
        history.delivery_record_row(entry, catalogue[entry.instrument])
        for entry in reversed(call.venue.memory(call.account).executions)
        if entry.kind == "Delivery" and queries.is_asked_for(question, catalogue[entry.instrument])
    ]
    return page(question.category, found[: question.limit])


def _no_settlements(call: Call) -> Result:
    return page(queries.category(call.query), [])


ROUTES: dict[tuple[str, str], Route] = {
    ("GET", "/v5/asset/coin/query-info"): Route(_coins, group="coins"),
    ("GET", "/v5/asset/transfer/query-account-coins-balance"): Route(_balances, group="history"),
    ("GET", "/v5/asset/transfer/query-account-coin-balance"): Route(_one_balance, group="history"),
    ("GET", "/v5/asset/transfer/query-transfer-coin-list"): Route(_transfer_coins, group="history"),
    ("GET", "/v5/asset/transfer/query-inter-transfer-list"): Route(_own_transfers, group="transfer"),
    ("GET", "/v5/asset/transfer/query-universal-transfer-list"): Route(_family_transfers, group="transfer"),
    ("POST", "/v5/asset/transfer/inter-transfer"): Route(
        lambda call: _transfer(call, between_members=False), is_write=True, group="transfer", scope="transfer"
    ),
    ("POST", "/v5/asset/transfer/universal-transfer"): Route(
        lambda call: _transfer(call, between_members=True),
        is_write=True,
        group="transfer",
        scope="sub_transfer",
    ),
    ("GET", "/v5/asset/deposit/query-address"): Route(_deposit_address, group="history"),
    ("GET", "/v5/asset/deposit/query-record"): Route(_deposits, group="history"),
    ("GET", "/v5/asset/deposit/query-sub-member-record"): Route(_deposits, group="history"),
    ("GET", "/v5/asset/withdraw/query-record"): Route(_withdrawals, group="history"),
    ("GET", "/v5/asset/withdraw/withdrawable-amount"): Route(_withdrawable, group="history"),
    ("POST", "/v5/asset/withdraw/create"): Route(
        _withdraw, is_write=True, group="transfer", scope="withdraw"
    ),
    ("POST", "/v5/asset/withdraw/cancel"): Route(
        _cancel_withdrawal, is_write=True, group="transfer", scope="withdraw"
    ),
    ("GET", "/v5/asset/delivery-record"): Route(_delivery_records, group="history"),
    ("GET", "/v5/asset/settlement-record"): Route(_no_settlements, group="history"),
}
