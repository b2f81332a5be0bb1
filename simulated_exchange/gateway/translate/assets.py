"""Shapes of what is asked about coins and wallets other than the unified one.

Belongs here: wire names and texts of coins, balances and addresses. Does not belong here: the unified wallet
(`wallets`), what moved (`history`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from simulated_exchange.coins import Coin
from simulated_exchange.gateway.translate.numbers import decimal_text

__all__ = [
    "coin_balance",
    "coin_information",
    "deposit_address",
    "funding_wallet",
    "withdrawable_amounts",
    "withdrawal_id",
]

Result = dict[str, Any]

CHAIN = "ETH"
CHAIN_NAME = "Ethereum (ERC20)"


def coin_information(coins: Sequence[Coin]) -> Result:
    """Every coin, each with one chain; clients refuse coins that are not listed."""
    chain = {
        "chain": CHAIN,
        "chainType": CHAIN_NAME,
        "confirmation": "6",
        "withdrawFee": "0",
        "depositMin": "0",
        "withdrawMin": "0",
        "minAccuracy": "8",
        "chainDeposit": "1",
        "chainWithdraw": "1",
        "withdrawPercentageFee": "0",
        "contractAddress": "",
        "safeConfirmNumber": "6",
        "withdrawMax": "",
    }
    return {
        "rows": [
            {"name": coin.name, "coin": coin.name, "remainAmount": "1000000", "chains": [dict(chain)]}
            for coin in coins
        ]
    }


def funding_wallet(kind: str, account: int, balances: list[Result]) -> Result:
    """Balances in the form of the transfer pages."""
    return {"memberId": str(account), "accountType": kind, "balance": balances}


def coin_balance(kind: str, account: int, coin: str, held: int, transferable: int) -> Result:
    """One coin of one wallet."""
    return {
        "accountType": kind,
        "bizType": 1,
        "accountId": str(account),
        "memberId": str(account),
        "balance": {
            "coin": coin,
            "walletBalance": decimal_text(held),
            "transferBalance": decimal_text(transferable),
            "bonus": "0",
            "transferSafeAmount": decimal_text(transferable),
            "ltvTransferSafeAmount": decimal_text(transferable),
        },
    }


def withdrawable_amounts(coin: str, room_usd: int, funding: int, unified: int) -> Result:
    """What may be withdrawn of a coin: the level's room today, and what each wallet has for it."""

    def amounts(amount: int) -> Result:
        return {
            "coin": coin,
            "withdrawableAmount": decimal_text(amount),
            "availableBalance": decimal_text(amount),
        }

    return {
        "limitAmountUsd": decimal_text(room_usd),
        "withdrawableAmount": {"FUND": amounts(funding), "UTA": amounts(unified)},
    }


def deposit_address(coin: str, account: int) -> Result:
    """Where a coin could be sent to; nothing comes in there, the simulator has a faucet instead."""
    return {
        "coin": coin,
        "chains": [
            {
                "chainType": CHAIN_NAME,
                "addressDeposit": f"0x{account:040x}",
                "tagDeposit": "",
                "chain": CHAIN,
                "batchReleaseLimit": "-1",
                "contractAddress": "",
            }
        ],
    }


def withdrawal_id(account: int, ordinal: int) -> str:
    """The venue's own number of a withdrawal."""
    return f"{account * 1_000_000 + ordinal}"
