"""Counts, times and speeds, in the ways in which they are written; and written back."""

import pytest

from adjoint.errors import ArgumentError
from adjoint.units import format_seconds, format_speed, parse_count, parse_seconds, parse_speed


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("1", 1),
        ("1000000", 10**6),
        ("1_000_000", 10**6),
        ("1,000,000", 10**6),
        ("1e6", 10**6),
        ("1.5e3", 1500),
        ("10^6", 10**6),
        ("10**6", 10**6),
        ("2^10", 1024),
        (" 7 ", 7),
        ("1e18", 10**18),
        ("123456789012345678", 123456789012345678),
    ],
)
def test_counts(text, count):
    assert parse_count(text) == count


@pytest.mark.parametrize(
    "text", ["", "0", "-1", "0.5", "1e19", "9^99", "1e999999999", "nan", "inf"]
)
def test_no_counts(text):
    with pytest.raises(ArgumentError, match="whole number"):
        parse_count(text)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0.02", 0.02),
        (".5", 0.5),
        ("3.", 3.0),
        ("2e-3", 2e-3),
        ("20 ms", 0.02),
        ("20ms", 0.02),
        ("3 us", 3e-6),
        ("3 µs", 3e-6),
        ("3 \N{GREEK SMALL LETTER MU}s", 3e-6),
        ("5 ns", 5e-9),
        ("2 min", 120.0),
        ("1.5 H", 5400.0),
        ("0", 0.0),
    ],
)
def test_times(text, seconds):
    assert parse_seconds(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "text", ["", "-1", "ms", "3 parsecs", "1:30", "1.2.3", "nan", "inf", "1e999"]
)
def test_no_times(text):
    with pytest.raises(ArgumentError, match="not a time"):
        parse_seconds(text)


@pytest.mark.parametrize(
    ("text", "speed"), [("1.2 GB/s", 1.2e9), ("500 MiB/s", 500 << 20), ("10k / s", 1e4)]
)
def test_speeds(text, speed):
    assert parse_speed(text) == speed


@pytest.mark.parametrize("text", ["", "1 GB", "1 GB/h", "/s", "-1 GB/s", "0/s"])
def test_no_speeds(text):
    with pytest.raises(ArgumentError, match=r"speed|size"):
        parse_speed(text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0.00 s"),
        (2e-9, "2.00 ns"),
        (3.14159e-6, "3.14 us"),
        (0.02, "20.0 ms"),
        (0.9999, "1.00 s"),
        (59.0, "59.0 s"),
        (5400.0, "90.0 min"),
        (7200.0, "2.00 h"),
        (20 * 86400.0, "20.0 d"),
        (123 * 86400.0, "123 d"),
        (12345 * 86400.0, "1.23e+04 d"),
    ],
)
def test_times_in_words(seconds, text):
    assert format_seconds(seconds) == text


@pytest.mark.parametrize(
    ("speed", "text"), [(1.2e9, "1.20 GB/s"), (5e8, "500 MB/s"), (100.0, "0.100 kB/s")]
)
def test_speeds_in_words(speed, text):
    assert format_speed(speed) == text
