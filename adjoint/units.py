"""Counts, sizes, times and speeds as text: parsed as people write them, formatted to be read."""

import operator
import re
from decimal import Decimal, InvalidOperation
from reprlib import repr as short_repr

import numpy as np

from adjoint.errors import ArgumentError

__all__ = [
    "format_bytes",
    "format_count",
    "format_seconds",
    "format_speed",
    "parse_bytes",
    "parse_count",
    "parse_seconds",
    "parse_speed",
    "readable_unit",
]

MAX_COUNT = 10**18
"""Larger counts are refused as typing errors; they would also overflow 64 bits in products."""

NUMBER = r"(?:[0-9]{1,30}\.?[0-9]{0,30}|\.[0-9]{1,30})(?:e[+-]?[0-9]{1,2})?"
"""A decimal number that is not negative and that a float can hold."""

BYTE_PREFIXES = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4, "p": 5}
"""Exponents of 1000, or of 1024 in a unit with an i: kB, KiB."""

SECONDS_PER_UNIT = {
    "ns": 1e-9,
    "us": 1e-6,
    "µs": 1e-6,
    "ms": 1e-3,
    "s": 1.0,
    "min": 60.0,
    "h": 3600.0,
    "d": 86400.0,
}

MIN_SHOWN = {"d": 4.0, "h": 2.0, "min": 3.0, "s": 0.9995, "ms": 0.9995, "us": 0.9995}
"""The smallest amount shown in each unit, largest unit first: "90.0 min" reads better than
"1.50 h", and 0.9995 rounds to 1.00."""


def format_count(count: int, noun: str) -> str:
    """Return a count and its noun: "1 rank", "1,067 events"."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def parse_count(text: str) -> int:
    """Return a whole number, 1 or more, from text such as "1000000", "1_000_000", "1e6" or "10^6".

    Raises
    ------
    ArgumentError
        The text is not such a number.
    """
    plain = text.strip().replace("_", "").replace(",", "")
    power = re.fullmatch(r"([0-9]{1,9})(?:\^|\*\*)([0-9]{1,2})", plain)
    try:
        value = Decimal(int(power[1]) ** int(power[2])) if power else Decimal(plain)
    except InvalidOperation:
        value = Decimal("NaN")
    if not value.is_finite() or not 1 <= value <= MAX_COUNT or value != int(value):
        raise ArgumentError(
            f"{text!r} is not a whole number from 1 to 10^18: write it as 1000000, 1e6 or 10^6"
        )
    return int(value)


def format_bytes(count: float) -> str:
    """Return a size in binary units: 2097152 is "2.0 MiB"."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"


def parse_bytes(size: int | str) -> int:
    """Return a number of bytes from an integer or text such as "512 MiB", "200 GB", "1.5g".

    Raises
    ------
    ArgumentError
        The text is not a size, or the size is not positive.
    """
    if isinstance(size, str):
        match = re.fullmatch(rf"\s*({NUMBER})\s*([kmgtp]?)(i?)b?\s*", size.lower())
        if match is None:
            raise ArgumentError(
                f'{size!r} is not a size: write it as "512 MiB", "200 GB" or in bytes'
            )
        size = int(Decimal(match[1]) * (1024 if match[3] else 1000) ** BYTE_PREFIXES[match[2]])
    try:
        if isinstance(size, (bool, np.bool_)):
            raise TypeError
        count = operator.index(size)
    except TypeError:
        raise ArgumentError(f"a size in bytes must be an integer, not {short_repr(size)}") from None
    if count <= 0:
        raise ArgumentError(f"a size must be positive, not {size}")
    return count


def format_seconds(seconds: float) -> str:
    """Return a time with three digits in its best unit: 0.02 is "20.0 ms", 7200 is "2.00 h"."""
    name, size = readable_unit(seconds)
    return f"{_three_digits(seconds / size)} {name}"


def parse_seconds(text: str) -> float:
    """Return seconds, 0 or more, from text such as "0.02", "20 ms", "1.5 h".

    Raises
    ------
    ArgumentError
        The text is not a time.
    """
    plain = text.lower().replace("\N{GREEK SMALL LETTER MU}", "µ")
    match = re.fullmatch(rf"\s*({NUMBER})\s*([a-zµ]*)\s*", plain)
    if match is None or (match[2] or "s") not in SECONDS_PER_UNIT:
        raise ArgumentError(
            f'{text!r} is not a time: write it in seconds, 0.02, or as "20 ms", "3 us", "2 min"'
        )
    return float(match[1]) * SECONDS_PER_UNIT[match[2] or "s"]


def readable_unit(seconds: float) -> tuple[str, float]:
    """Return the unit in which a time reads best, and the seconds in that unit."""
    for name, amount in MIN_SHOWN.items():
        if seconds >= amount * SECONDS_PER_UNIT[name]:
            return name, SECONDS_PER_UNIT[name]
    return ("s", 1.0) if seconds == 0 else ("ns", 1e-9)


def format_speed(bytes_per_second: float) -> str:
    """Return a speed with three digits in decimal units: 1.2e9 is "1.20 GB/s"."""
    name, size = "kB/s", 1e3
    for larger, bytes_of_it in (("MB/s", 1e6), ("GB/s", 1e9)):
        if bytes_per_second >= MIN_SHOWN["s"] * bytes_of_it:
            name, size = larger, bytes_of_it
    return f"{_three_digits(bytes_per_second / size)} {name}"


def parse_speed(text: str) -> float:
    """Return bytes per second from text such as "1.2 GB/s".

    Raises
    ------
    ArgumentError
        The text is not a speed, or the speed is not positive.
    """
    size, slash, unit = text.rpartition("/")
    if not slash or unit.strip() != "s":
        raise ArgumentError(f'{text!r} is not a speed: write it as "1.2 GB/s" or "500 MiB/s"')
    return float(parse_bytes(size))


def _three_digits(value: float) -> str:
    return f"{value:#.3g}".rstrip(".")
