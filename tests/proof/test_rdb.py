"""What the ends of a file show, and what its checksum proves."""

from __future__ import annotations

import anycrc
import pytest

from redis_backup.proof.rdb import Ends, Format, is_sound, judge_ends

CRC = anycrc.Model("CRC64-REDIS")


def file(version: int = 11, middle: bytes = b"\xfe\x00\x00\x01k\x01v", *, checksum: bool = True) -> bytes:
    body = b"REDIS%04d" % version + middle + b"\xff"
    if version < 5:
        return body
    return body + (CRC.calc(body) if checksum else 0).to_bytes(8, "little")


def judge(content: bytes) -> Ends:
    return judge_ends(content[:9], content[-9:], len(content))


@pytest.mark.parametrize(
    ("content", "format_", "version"),
    [
        (file(), Format.WITH_CHECKSUM, 11),
        (file(5), Format.WITH_CHECKSUM, 5),
        (file(middle=b""), Format.WITH_CHECKSUM, 11),  # an empty database
        (file(checksum=False), Format.WITHOUT_CHECKSUM, 11),
        (file(4), Format.WITHOUT_CHECKSUM, 4),
        (file()[:-1], Format.BROKEN, 11),
        (file()[:-9], Format.BROKEN, 11),
        (file()[:12], Format.BROKEN, 11),
        (file()[:9], Format.BROKEN, 11),
        (file(4)[:-1], Format.BROKEN, 4),
        (b"REDIS00", Format.BROKEN, 0),
        (b"R", Format.BROKEN, 0),
        (b"", Format.BROKEN, 0),
        (b"VALKEY080" + b"\xff" * 20, Format.UNKNOWN, 0),
        (b"REDISTLS1" + b"\xff" * 20, Format.UNKNOWN, 0),
        (b"\x00" * 100, Format.UNKNOWN, 0),
        (b"x", Format.UNKNOWN, 0),
    ],
)
def test_the_ends_of_a_file(content: bytes, format_: Format, version: int) -> None:
    ends = judge(content)
    assert (ends.format, ends.version) == (format_, version)
    assert bool(ends.found) is (format_ is Format.BROKEN)


def test_the_checksum_that_a_file_states() -> None:
    content = file()
    assert judge(content).crc64 == CRC.calc(content[:-8])
    assert [judge(each).has_checksum for each in (content, file(checksum=False), file(4))] == [True, False, False]


def test_any_byte_that_changes_shows() -> None:
    content = file(middle=bytes(range(200)))
    assert is_sound(CRC.calc(content))
    for offset in range(len(content)):
        changed = bytearray(content)
        changed[offset] ^= 0x10
        assert not is_sound(CRC.calc(bytes(changed)))
