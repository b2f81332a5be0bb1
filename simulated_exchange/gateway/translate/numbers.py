"""Fixed point (10**-8) to wire text and back.

Belongs here: text of numbers. Does not belong here: which number goes where.
"""

from __future__ import annotations

from simulated_exchange.instruments import SCALE

__all__ = [
    "decimal_text",
    "fixed_text",
    "funding_rate_text",
    "leverage_text",
    "parse_decimal",
    "rate12_text",
    "rate_text",
    "ratio",
]

_RATE_UNIT = 10**4
WHOLE_DIGITS_MAX = 10
FRACTION_DIGITS_MAX = 18


def decimal_text(value: int) -> str:
    """Shortest text: 990, 0.5445, -12.3."""
    sign, magnitude = ("-", -value) if value < 0 else ("", value)
    whole, fraction = divmod(magnitude, SCALE)
    if not fraction:
        return f"{sign}{whole}"
    return f"{sign}{whole}." + f"{fraction:08d}".rstrip("0")


def fixed_text(value: int, decimals: int) -> str:
    """Text with exactly this many decimals, cut towards zero."""
    sign, magnitude = ("-", -value) if value < 0 else ("", value)
    whole, fraction = divmod(magnitude, SCALE)
    return f"{sign}{whole}.{fraction:08d}"[: decimals - 8 or None] if decimals else f"{sign}{whole}"


def funding_rate_text(rate: int) -> str:
    """A rate of 10**-12 as shortest text of at most eight decimals, rounded half up."""
    return decimal_text((rate + _RATE_UNIT // 2) // _RATE_UNIT)


def rate12_text(rate: int) -> str:
    """A rate of 10**-12 as shortest text, with all its decimals."""
    sign, magnitude = ("-", -rate) if rate < 0 else ("", rate)
    whole, fraction = divmod(magnitude, 10**12)
    return f"{sign}{whole}" + (f".{fraction:012d}".rstrip("0") if fraction else "")


def leverage_text(hundredths: int) -> str:
    """1000 -> 10, 1250 -> 12.5."""
    return decimal_text(hundredths * (SCALE // 100))


def rate_text(numerator: int, denominator: int, decimals: int = 6) -> str:
    """numerator / denominator with this many decimals, cut towards zero; "0" for nothing to divide."""
    if denominator == 0:
        return "0"
    return fixed_text(ratio(numerator, denominator), decimals)


def ratio(numerator: int, denominator: int) -> int:
    """numerator / denominator as fixed point, cut towards zero; 0 when there is nothing to divide."""
    if denominator == 0:
        return 0
    quotient = abs(numerator) * SCALE // abs(denominator)
    return quotient if (numerator < 0) == (denominator < 0) else -quotient


def parse_decimal(value: object) -> int | None:
    """Wire text (or a JSON integer) as fixed point; None when it is no plain decimal of at most 8 places."""
    if type(value) is int:
        return value * SCALE if 0 <= value < 10**10 else None
    if not isinstance(value, str):
        return None
    whole, point, fraction = value.partition(".")
    if not value.isascii() or not whole.isdigit() or len(whole) > WHOLE_DIGITS_MAX:
        return None
    if not point:
        return int(whole) * SCALE
    if not fraction.isdigit() or len(fraction) > FRACTION_DIGITS_MAX:
        return None
    if len(fraction) > 8 and fraction[8:].strip("0"):
        return None
    return int(whole + fraction[:8].ljust(8, "0"))
