"""README promises what tests hold, in a form that fits on a page, and in both languages alike."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from simulator import Cloud, Instance

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
CHINESE = (ROOT / "README.zh-CN.md").read_text(encoding="utf-8")
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
MAX_LINES, MAX_WIDTH = 120, 120

# By the number of the row, since each language has its own words: the tests that hold the promise and its limits.
GUARANTEES = (
    ("test_what_happens_when.py", "the_event_arrives_again", "a_repeat_falls_into_the_gap_of_a_listing"),
    ("test_states.py", "a_backup_that_began_before_does_not_count", "since_with_milliseconds_accepts_the_second_that"),
    ("test_promises.py", "what_arrives_within_12_s_starts_at_its_first_look_and_what_does_not_watches"),
    ("test_what_happens_when.py", "a_backup_never_ends"),
    ("test_records.py", "a_job_id_is_out_before_anything_else_is_done"),
    ("test_rare_cases.py", "a_failure_is_raised_when_it_is_over", "one_record_sums_an_event_up"),
    ("test_what_happens_when.py", "the_api_throttles", "the_function_is_killed", "the_function_may_not_invoke_itself"),
    ("test_what_happens_when.py", "a_backup_fails"),
    ("test_follow.py", "a_large_request_is_split_and_each_shard_reports_its_own"),
    ("deploy/test_policies.py", "the_role_s_policy_grants_what_the_function_calls_and_nothing_else"),
    ("test_states.py", "a_cluster_has_succeeded_only_when_every_shard_has"),
)


def blocks(text: str, language: str) -> list[str]:
    """The code blocks of a language, without the comments of shell lines."""
    found = re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return [re.sub(r"\s+#.*$", "", block, flags=re.MULTILINE) for block in found]


def links(text: str) -> list[str]:
    """Where a document leads, but for the other language's README, in order."""
    return [target for target in re.findall(r"\]\(([^)]+)\)", text) if not target.startswith("README")]


def tables(text: str) -> list[list[list[str]]]:
    """The rows of each table, cell by cell, without the heading."""
    found = re.findall(r"^\| ---.*\n((?:^\|.*\n)+)", text, re.MULTILINE)
    return [[[cell.strip() for cell in row.strip("| ").split(" | ")] for row in table.splitlines()] for table in found]


def guarantees(text: str) -> list[list[str]]:
    return tables(text)[1]


def test_readme_is_short() -> None:
    assert len(README.splitlines()) <= MAX_LINES
    assert len(CHINESE.splitlines()) <= MAX_LINES


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_prose_is_no_wider_than_a_page(path: Path) -> None:
    text = re.sub(r"^```.*?^```$", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    prose = [line for line in text.splitlines() if not line.startswith("|") and "](http" not in line]
    assert [line for line in prose if len(line) > MAX_WIDTH] == []


@pytest.mark.parametrize(("row", "tests"), list(enumerate(GUARANTEES)))
def test_what_readme_guarantees_has_a_test(row: int, tests: tuple[str, ...]) -> None:
    assert len(guarantees(README)) == len(GUARANTEES)
    promise, limit = guarantees(README)[row]
    assert promise.startswith("**")
    assert limit
    source = (ROOT / "tests" / tests[0]).read_text(encoding="utf-8")
    assert [name for name in tests[1:] if f"def test_{name}" not in source] == []


def test_the_first_example_is_what_the_function_answers(make_cloud: Callable[..., Cloud]) -> None:
    event, answer = (json.loads(block) for block in blocks(README, "json"))
    cloud = make_cloud(Instance("r-bp1zxszhcgatnx01"))
    assert same_but_for_ids(cloud.invoke(event).result) == same_but_for_ids(answer)


def same_but_for_ids(report: dict[str, Any]) -> dict[str, Any]:
    return report | {"request_id": "", "trigger": report["trigger"] | {"id": ""}}


def test_commands_of_make_exist() -> None:
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert {name for block in blocks(README, "sh") for name in re.findall(r"\bmake (\w+)", block)} <= targets


@pytest.mark.parametrize("text", [README, CHINESE], ids=["en", "zh"])
def test_links_lead_to_files(text: str) -> None:
    missing = [
        target
        for target in re.findall(r"\]\(([^)#]+)[^)]*\)", text)
        if not target.startswith("https://") and not (ROOT / target).exists()
    ]
    assert missing == []


def test_both_languages_have_the_same_commands_examples_and_links() -> None:
    for language in ("sh", "json"):
        assert blocks(CHINESE, language) == blocks(README, language)
    assert links(CHINESE) == links(README)


def test_both_languages_have_the_same_tables() -> None:
    """As many rows, in each cell the same code and the same numbers."""

    def code_and_numbers(cell: str) -> tuple[list[str], list[str]]:
        return re.findall(r"`[^`]+`", cell), re.findall(r"\d[\d,]*", cell)

    english, chinese = (
        [[list(map(code_and_numbers, row)) for row in table] for table in tables(text)] for text in (README, CHINESE)
    )
    assert chinese == english


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_files_that_a_document_names_exist(path: Path) -> None:
    folders = "redis_backup|redis_backup_cli|simulator|chaos|benchmarks|tests|deploy|docs|events"
    named = re.findall(rf"`((?:{folders})/[\w/.-]+)`", path.read_text(encoding="utf-8"))
    assert [name for name in named if not (ROOT / name).exists()] == []
