"""Receipts and notes: what is written is read back, and what others wrote is not believed."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timezone

import anycrc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from redis_backup.proof.backup import ReadableBackup, Verified, weakest
from redis_backup.proof.checksums import OSS, REDIS, combine, crc64
from redis_backup.proof.notes import FileNote, Note, Part, read_note
from redis_backup.proof.receipts import FileReceipt, Receipt, read_receipt, write_receipt
from redis_backup.states import ErrorKind, Problem, Proof

BEGAN = datetime(2026, 11, 25, 2, 0, 5, tzinfo=timezone.utc)
BACKUP = ReadableBackup("123", "cn-hangzhou", "r-1", ("1022", "998"), "", BEGAN, None)
RECEIPT = Receipt(
    Verified.FULL, (FileReceipt("a.rdb", "r-1-db-0", 1024, 11, "0123456789abcdef", "a.rdb", "18446744073709551615"),)
)


def test_the_name_of_a_backup_is_its_start_and_its_smallest_job_id() -> None:
    assert BACKUP.folder == "123/cn-hangzhou/r-1/20261125T020005Z-998/"
    cluster = replace(BACKUP, cluster_backup_id="cb-12", job_ids=())
    assert cluster.name == replace(cluster, job_ids=("7",)).name == "20261125T020005Z-cb-12"


def test_a_receipt_says_what_was_proved() -> None:
    content = write_receipt(replace(BACKUP, ended=BEGAN), RECEIPT)
    assert json.loads(content) == {
        "version": 1,
        "account": "123",
        "region": "cn-hangzhou",
        "instance_id": "r-1",
        "job_ids": ["1022", "998"],
        "begin": "2026-11-25T02:00:05Z",
        "end": "2026-11-25T02:00:05Z",
        "verified": "full",
        "files": [
            {
                "name": "a.rdb",
                "node": "r-1-db-0",
                "bytes": 1024,
                "rdb_version": 11,
                "crc64": "0123456789abcdef",
                "copy": "a.rdb",
                "copy_crc64": "18446744073709551615",
            }
        ],
    }
    assert read_receipt(content, BACKUP, Proof.COPY) == read_receipt(content, BACKUP, Proof.FULL) == RECEIPT


@pytest.mark.parametrize(
    "change",
    [
        {"version": 2},
        {"account": "124"},
        {"instance_id": "r-2"},
        {"begin": "2026-11-25T02:00:06Z"},
        {"job_ids": ["998"]},
        {"job_ids": None},
        {"files": [{"name": "a.rdb", "node": "", "bytes": float("inf"), "copy": "a.rdb"}]},
        {"verified": "yes"},
        {"files": []},
        {"files": [{"name": "a.rdb", "node": "", "bytes": 1}]},  # no copy
        {"files": [{"name": "a.rdb", "node": "", "bytes": 1, "copy": "../r-2/a.rdb"}]},
        {"files": None},
    ],
)
def test_another_receipt_does_not_do(change: dict[str, object]) -> None:
    content = json.loads(write_receipt(BACKUP, RECEIPT)) | change
    assert read_receipt(json.dumps(content).encode(), BACKUP, Proof.COPY) is None


@pytest.mark.parametrize("content", [b"[" * 100_000, b"", b"[]", b"null", b"{}", b"\xff", b'{"version":1}'])
def test_what_is_no_receipt_and_no_note(content: bytes) -> None:
    assert read_receipt(content, BACKUP, Proof.FULL) is None
    assert read_note(content) == Note()


def test_a_note_with_a_number_that_is_too_large_is_none() -> None:
    note = Note([FileNote("a.rdb", "n", "7", 9, b"REDIS0011", b"\xff12345678")])
    assert read_note(note.write()) == note
    assert read_note(note.write().replace(b'"size":9', b'"size":1e999')) == Note()


def test_a_backup_is_proved_as_far_as_its_weakest_file() -> None:
    assert weakest([Verified.FULL, Verified.FULL]) is Verified.FULL
    assert weakest([Verified.FULL, Verified.QUICK]) is Verified.QUICK
    assert weakest([Verified.QUICK, Verified.UNKNOWN_FORMAT, Verified.FULL]) is Verified.UNKNOWN_FORMAT


@given(
    size=st.integers(9, 1 << 45),
    parts=st.dictionaries(st.integers(0, 10**6), st.tuples(st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1))),
    wrong=st.lists(st.integers(0, 2**64 - 1)),
    upload=st.text("ABCDEF0123456789", max_size=32),
)
def test_a_note_is_read_as_it_was_written(
    size: int, parts: dict[int, tuple[int, int]], wrong: list[int], upload: str
) -> None:
    file = FileNote("a.rdb", "n", "7", size, b"REDIS0011", b"\xff12345678", 5, upload_id=upload, wrong=wrong)
    file.parts = {number % file.part_count: Part(*crcs, '"AB-1"') for number, crcs in parts.items()}
    problem = Problem("CopyDiffers", "why", ErrorKind.PERMANENT, hint="delete it")
    note = Note([file], "what was found", 77, is_paused=True, problem=problem)
    assert read_note(note.write()) == note


@given(st.integers(1, 1 << 47))
def test_the_parts_of_a_file_have_fixed_bounds_and_cover_it(size: int) -> None:
    file = FileNote("a.rdb", "", "", size, b"", b"")
    assert 1 <= file.part_count <= 10_000  # OSS takes no more
    assert file.bounds(0)[0] == 0
    assert file.bounds(file.part_count - 1)[1] == size
    middle = file.part_count // 2
    assert file.bounds(middle - 1)[1] == file.bounds(middle)[0] or middle == 0
    assert file.length(0) <= file.part_size


@pytest.mark.parametrize(("file", "part"), [(1, 8), (512, 8), (1024, 16), (100 * 1024, 32), (1024 * 1024, 117)])
def test_parts_are_larger_in_larger_files(file: int, part: int) -> None:
    assert FileNote("a.rdb", "", "", file << 20, b"", b"").part_size == part << 20


@given(st.lists(st.binary(max_size=300), max_size=9))
@pytest.mark.parametrize("name", [REDIS, OSS])
def test_checksums_of_parts_are_put_together(name: str, parts: list[bytes]) -> None:
    whole = anycrc.Model(name).calc(b"".join(parts))
    assert combine(name, [(crc64(name).calc(part), len(part)) for part in parts]) == whole
