"""Write and read the note of a reading: what of a backup's files has been read so far, `progress.json` in the store.

A note saves work, and nothing depends on it: without one a reading begins anew. The files' parts have fixed bounds, so
that two readings of a file, or one that was killed, do no harm.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from redis_backup.proof.rdb import END_SIZE, Ends, judge_ends
from redis_backup.states import ErrorKind, Problem

_VERSION = 1
_MIB = 1 << 20
_SMALLEST_PART, _LARGEST_PART = 8 * _MIB, 32 * _MIB  # bytes; those of files of more than 280 GiB are larger
_USUAL_PARTS = 64  # of a file, between the two: each part is a request, which costs as much as reading a few MiB
_MOST_PARTS = 9_000  # of a file; OSS takes 10,000
# https://www.alibabacloud.com/help/en/oss/user-guide/multipart-upload


@dataclass(frozen=True)
class Part:
    """What a reading found of one part: the two checksums, and the ETag of its copy (empty without one)."""

    crc64: int
    oss_crc64: int = 0
    etag: str = ""


@dataclass
class FileNote:
    """What has been read of one file.

    `first`, `last`: its ends; `stated_crc64`: OSS's checksum of it, if it is known; `parts`: by their numbers, from 0;
    `upload_id`: of the multipart upload of its copy; `wrong`: the checksums of readings that were not the one that the
    file states; `is_read`: it was read to its end, as far as there is something to compare with; `is_copied`: its copy
    is complete. A reading that does not copy leaves what belongs to the copy as it is.
    """

    name: str
    node: str
    job_id: str
    size: int
    first: bytes
    last: bytes
    stated_crc64: int | None = None
    parts: dict[int, Part] = field(default_factory=dict)
    upload_id: str = ""
    wrong: list[int] = field(default_factory=list)
    is_read: bool = False
    is_copied: bool = False

    @property
    def ends(self) -> Ends:
        """Return the judgement of its ends."""
        return judge_ends(self.first, self.last, self.size)

    @property
    def part_size(self) -> int:
        """Return the bytes of each of its parts but the last: it depends on the file's size alone."""
        usual = min(_LARGEST_PART, self.size // _USUAL_PARTS)
        return -(-max(_SMALLEST_PART, usual, self.size // _MOST_PARTS) // _MIB) * _MIB

    @property
    def part_count(self) -> int:
        """Return how many parts it has."""
        return -(-self.size // self.part_size)

    def bounds(self, number: int) -> tuple[int, int]:
        """Return where a part begins and ends, in bytes; the end is not a part of it."""
        start = number * self.part_size
        return start, min(self.size, start + self.part_size)

    def length(self, number: int) -> int:
        """Return the bytes of a part."""
        start, end = self.bounds(number)
        return end - start

    def is_done(self, *, copied: bool) -> bool:
        """Return whether nothing has to be read of it any more. `copied`: a copy is asked for."""
        return self.is_copied if copied else self.is_read

    def missing(self, *, copied: bool) -> list[int]:
        """Return the numbers of the parts that have to be read, or to be read and copied."""
        return [
            number
            for number in range(self.part_count)
            if number not in self.parts or (copied and not self.parts[number].etag)
        ]

    def forget_parts(self) -> None:
        """Forget its parts: it has to be read again."""
        self.parts, self.is_read = {}, False

    def bytes_done(self, *, copied: bool) -> int:
        """Return the bytes that were read of it, and copied if that is asked for."""
        if self.is_done(copied=copied):
            return self.size
        return self.size - sum(self.length(number) for number in self.missing(copied=copied))


@dataclass
class Note:
    """What has been read of a backup. `corrupt`: what was found, if it is; `bytes_read`: by all readings so far.

    `is_paused`: its reader has stopped in time, so that the next one need not wait; `problem`: why it got no further.
    """

    files: list[FileNote] = field(default_factory=list)
    corrupt: str = ""
    bytes_read: int = 0
    is_paused: bool = False
    problem: Problem | None = None

    @property
    def size(self) -> int:
        """Return the bytes of all files."""
        return sum(file.size for file in self.files)

    def progress(self, *, copied: bool) -> int:
        """Return how much has been read (and copied, if that is asked for), in percent."""
        done = sum(file.bytes_done(copied=copied) for file in self.files)
        return 100 * done // self.size if self.size else 0

    def write(self) -> bytes:
        """Write what `read_note` reads."""
        return json.dumps(
            {
                "version": _VERSION,
                "corrupt": self.corrupt,
                "bytes_read": self.bytes_read,
                "paused": self.is_paused,
                "problem": _write_problem(self.problem),
                "files": [_write_file(file) for file in self.files],
            },
            separators=(",", ":"),
        ).encode()


def read_note(content: bytes) -> Note:
    """Read a note; an empty one if it cannot be read.

    `{"version": 1, "files": [{"name": "hins1.rdb", "parts": {"0": "1c291ca3,0,"}, …}], …}` →
    `Note([FileNote("hins1.rdb", parts={0: Part(0x1c291ca3)}, …)])`.
    """
    try:
        fields = json.loads(content)
        if fields["version"] != _VERSION:
            return Note()
        files = [_read_file(each) for each in fields["files"]]
        problem = _read_problem(fields["problem"])
        return Note(files, str(fields["corrupt"]), int(fields["bytes_read"]), fields["paused"] is True, problem)
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        return Note()


def _write_problem(problem: Problem | None) -> dict[str, str | None] | None:
    if problem is None:
        return None
    return {"code": problem.code, "message": problem.message, "kind": problem.kind.value, "hint": problem.hint}


def _read_problem(fields: dict[str, Any] | None) -> Problem | None:
    if fields is None:
        return None
    hint = fields["hint"]
    code, message = str(fields["code"]), str(fields["message"])
    return Problem(code, message, ErrorKind(fields["kind"]), hint=None if hint is None else str(hint))


def _write_file(file: FileNote) -> dict[str, Any]:
    return {
        "name": file.name,
        "node": file.node,
        "job_id": file.job_id,
        "size": file.size,
        "first": file.first.hex(),
        "last": file.last.hex(),
        "stated": file.stated_crc64,
        "upload_id": file.upload_id,
        "wrong": [f"{crc:x}" for crc in file.wrong],
        "read": file.is_read,
        "copied": file.is_copied,
        "parts": {str(number): f"{part.crc64:x},{part.oss_crc64:x},{part.etag}" for number, part in _sorted(file)},
    }


def _sorted(file: FileNote) -> Sequence[tuple[int, Part]]:
    return sorted(file.parts.items())


def _read_file(fields: dict[str, Any]) -> FileNote:
    first, last = bytes.fromhex(fields["first"]), bytes.fromhex(fields["last"])
    file = FileNote(str(fields["name"]), str(fields["node"]), str(fields["job_id"]), int(fields["size"]), first, last)
    if file.size < 0 or len(first) > END_SIZE or len(first) != min(END_SIZE, file.size):
        raise ValueError
    file.upload_id, stated = str(fields["upload_id"]), fields["stated"]
    file.stated_crc64 = None if stated is None else int(stated)
    file.is_read, file.is_copied = fields["read"] is True, fields["copied"] is True
    file.wrong = [int(crc, 16) for crc in fields["wrong"]]
    for number, text in fields["parts"].items():
        crc64, oss_crc64, etag = text.split(",")
        if not 0 <= int(number) < file.part_count or not re.fullmatch(r"[A-Za-z0-9\"-]*", etag):
            raise ValueError
        file.parts[int(number)] = Part(int(crc64, 16), int(oss_crc64, 16), etag)
    return file
