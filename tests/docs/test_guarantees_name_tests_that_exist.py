"""Every test and benchmark that the page of guarantees names is there."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "guarantees.md"
ROW = re.compile(r"^\| (?!fault|---)(.*) \|$", re.MULTILINE)
NAMED = re.compile(r"`(tests/[^`\s]+\.py)")


def test_every_path_is_that_of_a_file():
    paths = NAMED.findall(PAGE.read_text())
    assert len(paths) > 50
    assert [path for path in paths if not (ROOT / path).is_file()] == []


def test_every_row_names_a_test():
    rows = ROW.findall(PAGE.read_text())
    assert len(rows) > 40
    assert [row for row in rows if not NAMED.search(row.rsplit(" | ", 1)[1])] == []
