"""Counts, sizes, times and speeds are parsed as people write them, and formatted to be read."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adjoint.errors import ArgumentError
from adjoint.units import (
    format_bytes,
    format_count,
    format_seconds,
    format_speed,
    parse_bytes,
    parse_count,
    parse_seconds,
    parse_speed,
)


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
def test_not_counts(text):
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
        ("2 d", 172800.0),
        ("0", 0.0),
    ],
)
def test_times(text, seconds):
    assert parse_seconds(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "text", ["", "-1", "ms", "3 parsecs", "1:30", "1.2.3", "nan", "inf", "1e999"]
)
def test_not_times(text):
    with pytest.raises(ArgumentError, match="not a time"):
        parse_seconds(text)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        (7, 7),
        ("7", 7),
        ("512 MiB", 512 << 20),
        ("200 GB", 200 * 10**9),
        ("1.5g", 1_500_000_000),
        (".5 KiB", 512),
        ("3. kB", 3000),
        ("1e3", 1000),
        ("9007199254740993", 2**53 + 1),
    ],
)
def test_sizes(text, size):
    assert parse_bytes(text) == size


@pytest.mark.parametrize("text", ["", ".", "1.2.3", "MiB", "1e999", "9" * 400, "3 parsecs", 0, "0"])
def test_not_sizes(text):
    with pytest.raises(ArgumentError, match="size"):
        parse_bytes(text)


@pytest.mark.parametrize(
    ("text", "speed"), [("1.2 GB/s", 1.2e9), ("500 MiB/s", 500 << 20), ("10k / s", 1e4)]
)
def test_speeds(text, speed):
    assert parse_speed(text) == speed


@pytest.mark.parametrize("text", ["", "1 GB", "1 GB/h", "/s", "-1 GB/s", "0/s"])
def test_not_speeds(text):
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
def test_times_as_text(seconds, text):
    assert format_seconds(seconds) == text


@pytest.mark.parametrize(
    ("speed", "text"), [(1.2e9, "1.20 GB/s"), (5e8, "500 MB/s"), (100.0, "0.100 kB/s")]
)
def test_speeds_as_text(speed, text):
    assert format_speed(speed) == text


def test_counts_with_their_noun():
    assert format_count(1, "rank") == "1 rank"
    assert format_count(0, "read") == "0 reads"
    assert format_count(1067, "event") == "1,067 events"


@given(st.floats(1e-9, 1e9))
def test_a_time_that_was_formatted_is_parsed_to_three_digits(seconds):
    assert parse_seconds(format_seconds(seconds)) == pytest.approx(seconds, rel=0.0051)


@given(st.integers(1, 2**50))
def test_a_size_that_was_formatted_is_parsed_to_a_tenth_of_its_unit(size):
    assert parse_bytes(format_bytes(size)) == pytest.approx(size, rel=0.051)


@given(st.floats(1e3, 1e15))
def test_a_speed_that_was_formatted_is_parsed_to_three_digits(speed):
    assert parse_speed(format_speed(speed)) == pytest.approx(speed, rel=0.0051)
