"""Numbers, sizes, times and speeds: read as people write them, and written as people read them."""

import re
from decimal import Decimal, InvalidOperation

from adjoint.errors import ArgumentError

__all__ = [
    "format_bytes",
    "format_seconds",
    "format_speed",
    "parse_bytes",
    "parse_count",
    "parse_seconds",
    "parse_speed",
    "readable_unit",
]

MOST = 10**18
"""Larger counts are taken for slips of the pen."""

UNITS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4, "p": 5}
"""Powers of 1000, or of 1024 where the unit has an i: kB, KiB."""

SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0}

READABLE = (("d", 86400.0), ("h", 3600.0), ("min", 60.0), ("s", 1.0), ("ms", 1e-3), ("us", 1e-6))

LEAST_OF_UNIT = {"d": 4.0, "h": 2.0, "min": 3.0}
"""A unit is used from so many of it on: 90 minutes are easier to picture than 1.5 hours."""


def parse_bytes(size: int | str) -> int:
    """Return a number of bytes from an integer or text such as "512 MiB", "200 GB", "1.5g".

    Raises
    ------
    ArgumentError
        The text is not a size, or the size is not positive.
    """
    if isinstance(size, str):
        match = re.fullmatch(r"\s*([0-9.]+(?:e[0-9]+)?)\s*([kmgtp]?)(i?)b?\s*", size.lower())
        if match is None or match[1].count(".") > 1:
            raise ArgumentError(
                f'{size!r} is not a size: write it as "512 MiB", "200 GB" or in bytes'
            )
        size = int(float(match[1]) * (1024 if match[3] else 1000) ** UNITS[match[2]])
    if size <= 0:
        raise ArgumentError(f"a size must be positive, not {size}")
    return int(size)


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
    if not value.is_finite() or not 1 <= value <= MOST or value != int(value):
        raise ArgumentError(
            f"{text!r} is not a whole number from 1 to 10^18: write it as 1000000, 1e6 or 10^6"
        )
    return int(value)


def parse_seconds(text: str) -> float:
    """Return seconds from text such as "0.02", "20 ms", "1.5 h"; never less than 0.

    Raises
    ------
    ArgumentError
        The text is not a time.
    """
    pattern = r"\s*([0-9]*\.?[0-9]+|[0-9]+\.)(e[+-]?[0-9]{1,2})?\s*([a-zµ]*)\s*"
    match = re.fullmatch(pattern, text.lower().replace("\N{GREEK SMALL LETTER MU}", "µ"))
    if match is None or (match[3] or "s") not in SECONDS:
        raise ArgumentError(
            f'{text!r} is not a time: write it in seconds, 0.02, or as "20 ms", "3 us", "2 min"'
        )
    return float(match[1] + (match[2] or "")) * SECONDS[match[3] or "s"]


def parse_speed(text: str) -> float:
    """Return bytes a second from text such as "1.2 GB/s".

    Raises
    ------
    ArgumentError
        The text is not a speed, or the speed is not positive.
    """
    size, slash, unit = text.rpartition("/")
    if not slash or unit.strip() != "s":
        raise ArgumentError(f'{text!r} is not a speed: write it as "1.2 GB/s" or "500 MiB/s"')
    return float(parse_bytes(size))


def format_bytes(count: float) -> str:
    """Return a number of bytes in words: 2097152 is "2.0 MiB"."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"


def format_seconds(seconds: float) -> str:
    """Return a time in words: 0.02 is "20.0 ms", 7200 is "2.00 h"."""
    name, size = readable_unit(seconds)
    return f"{seconds / size:#.3g}".rstrip(".") + f" {name}"


def readable_unit(seconds: float) -> tuple[str, float]:
    """Return the unit that a time is best read in, and its seconds."""
    for name, size in READABLE:
        if seconds >= LEAST_OF_UNIT.get(name, 0.9995) * size:
            return name, size
    return ("s", 1.0) if seconds == 0 else ("ns", 1e-9)


def format_speed(bytes_per_second: float) -> str:
    """Return a speed in words: 1.2e9 is "1.20 GB/s"."""
    for name, size in (("GB/s", 1e9), ("MB/s", 1e6)):
        if bytes_per_second >= 0.9995 * size:
            return f"{bytes_per_second / size:#.3g}".rstrip(".") + f" {name}"
    return f"{bytes_per_second / 1e3:#.3g}".rstrip(".") + " kB/s"
