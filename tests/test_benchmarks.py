"""The benchmark's page says plainly what was missed; its plot is drawn from the same numbers."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

from benchmarks import report
from benchmarks.__main__ import LETTERS
from benchmarks.result import Result

DOCS = Path(__file__).parents[1] / "docs"
RESULTS = [
    Result("a", "cold & warm", "240 ms", "plain: 500 ms", 0.48, 0.5),
    Result("b", "many", "6 s", "ideal: 5 s", 1.2, 1.15),
    Result("f", "following", "1 GB·s", "waiting: 300 GB·s", 1 / 300),
]


def test_the_page_shows_every_measure_and_names_what_was_missed() -> None:
    text = report.markdown(RESULTS, rounds=5)
    assert "| a | cold & warm | 240 ms | plain: 500 ms | 0.48 | ≤ 0.50 | met |\n" in text
    assert "| b | many | 6 s | ideal: 5 s | 1.20 | ≤ 1.15 | **missed** |\n" in text
    assert "| f | following | 1 GB·s | waiting: 300 GB·s | 0.0033 |  |  |\n" in text
    assert "\nMissed: many (1.20, not 1.15). Measured on " in text
    assert "\nNo target was missed. Measured on " in report.markdown(RESULTS[::2], rounds=5)


def test_the_plot_has_a_bar_for_each_measure_and_a_line_for_each_target() -> None:
    drawing = ElementTree.fromstring(report.plot(RESULTS))  # noqa: S314 - our own
    space = "{http://www.w3.org/2000/svg}"
    assert len(drawing.findall(f"{space}rect")) == 1 + len(RESULTS)
    assert len(drawing.findall(f"{space}line")) == 1 + 2


def test_the_published_page_answers_every_question() -> None:
    text = (DOCS / "benchmarks.md").read_text(encoding="utf-8")
    assert sorted(set(re.findall(r"^\| ([a-z]) \|", text, re.MULTILINE))) == list(LETTERS)
    assert (DOCS / report.PLOT).is_file()
