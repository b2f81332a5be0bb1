"""Fixed-point numbers of the engine's boundary: integers in units of 10**-8.

Belongs here: exact conversion from decimal text and rounding to a grid. Does not belong here: any rule of
trading. Rounding is named by the function that does it.
"""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation

__all__ = ["MILLI_BPS", "SCALE", "ceil_to", "floor_to", "gap_bps", "share_of", "to_decimal", "to_fixed"]

SCALE = 10**8
MILLI_BPS = 10_000_000  # milli basis points in one whole


def to_fixed(value: str | int | Decimal) -> int:
    """Decimal text to units of 10**-8, half-even beyond eight decimals; ValueError when it is no number."""
    try:
        number = Decimal(value)
    except InvalidOperation as error:
        raise ValueError(f"{value!r} is not a number") from error
    if not number.is_finite():
        raise ValueError(f"{value!r} is not a finite number")
    return int((number * SCALE).to_integral_value(rounding=ROUND_HALF_EVEN))


def to_decimal(value: int) -> Decimal:
    """Units of 10**-8 to an exact Decimal."""
    return Decimal(value).scaleb(-8)


def floor_to(value: int, step: int) -> int:
    """The greatest multiple of `step` that is not above `value`."""
    return value - value % step


def ceil_to(value: int, step: int) -> int:
    """The least multiple of `step` that is not below `value`."""
    return value + -value % step


def share_of(value: int, milli_bps: int) -> int:
    """`milli_bps` thousandths of a basis point of `value`, rounded towards zero."""
    product = value * milli_bps
    return product // MILLI_BPS if product >= 0 else -(-product // MILLI_BPS)


def gap_bps(value: int, reference: int) -> float:
    """Signed distance of `value` from `reference` in basis points, for statistics only."""
    return (value - reference) / reference * 10_000
