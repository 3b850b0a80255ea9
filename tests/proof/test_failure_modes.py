"""Each row of the second table in docs/failure-modes.md has its tests."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TESTS = {  # by the beginning of a row
    "the function is killed": (
        "test_full.py: a_reading_that_is_killed_is_taken_up",
        "test_full.py: a_file_passes_through_a_short_function",
    ),
    "an address expires": ("test_full.py: addresses_that_expire_are_asked_for_anew",),
    "a file cannot be reached": ("test_quick.py: unreachable_is_not_corrupt",),
    "the store is away": (
        "test_full.py: a_store_that_denies_is_named_and_the_backup_is_kept",
        "test_full.py: a_bucket_that_is_not_there",
    ),
    "a file is corrupt": (
        "test_full.py: a_corrupt_backup_is_a_failed_attempt",
        "test_full.py: it_is_read_twice_before_it_is_called_corrupt",
        "test_full.py: all_attempts_corrupt",
        "test_copy.py: a_corrupt_file_is_not_copied_and_leaves_nothing",
    ),
    "a byte flips on its way": ("test_full.py: bytes_that_change_on_their_way_are_not_held_against_the_file",),
    "the answer is cut short": ("test_full.py: faults_of_downloads_do_not_matter",),
    "a byte of a copy flips": ("test_copy.py: a_part_that_does_not_come_whole_is_read_and_sent_again",),
    "two invocations read": ("test_full.py: a_fresh_note_of_another_reader_is_respected",),
    "the note is lost": ("test_full.py: a_note_that_cannot_be_read_does_not_matter",),
    "somebody aborts the upload": ("test_copy.py: an_upload_that_somebody_aborts_begins_anew",),
    "another object has the name": (
        "test_copy.py: a_copy_that_is_gone_is_made_again_and_another_object_is_not_taken_for_it",
        "test_full.py: a_receipt_of_something_else_in_the_way",
    ),
    "a copy is gone": ("test_copy.py: a_copy_that_is_gone_is_made_again_and_another_object_is_not_taken_for_it",),
    "the bucket is versioned": ("test_copy.py: versioned_buckets_and_retention_policies",),
    "the bucket has a retention policy": ("test_copy.py: versioned_buckets_and_retention_policies",),
}


def test_what_happens_while_a_backup_is_read_has_its_tests() -> None:
    document = (ROOT / "docs" / "failure-modes.md").read_text(encoding="utf-8")
    rows = re.findall(
        r"^\| (?!…|What|---)(.+?) \|", document.partition("## While a backup is read back")[2], re.MULTILINE
    )
    assert [row.startswith(known) for row, known in zip(rows, TESTS, strict=True)] == [True] * len(TESTS)
    for file, _, name in (each.partition(": ") for tests in TESTS.values() for each in tests):
        assert f"def test_{name}(" in (ROOT / "tests" / "proof" / file).read_text(encoding="utf-8"), name
