"""Judge an RDB file by its first and last bytes and by its checksum. Pure: nothing here reads a file.

    REDIS 0011   …   FF   CRC-64, little-endian
    first 9 bytes    last 9 bytes

The checksum (Jones) covers all bytes before it. Eight zeros mean that the file was written without one (`rdbchecksum
no`); before version 5 there is none. https://github.com/redis/redis/blob/7.0/src/rdb.c
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum

END_SIZE = 9  # bytes: the magic and the version; the end mark and the checksum
_CHECKSUM_SIZE = 8
_FIRST_WITH_CHECKSUM = 5  # the first version of the format whose files end with a checksum
_MAGIC = b"REDIS"
_END_MARK = 0xFF


class Format(str, Enum):
    """What a file's first and last bytes show."""

    WITH_CHECKSUM = "with checksum"
    WITHOUT_CHECKSUM = "without checksum"
    UNKNOWN = "unknown"  # encrypted (TDE), or another engine's file
    BROKEN = "broken"


@dataclass(frozen=True)
class Ends:
    """The judgement of a file's ends. `version`: of the RDB format, 0 if it is none; `crc64`: the checksum at its end.

    `found`: what is wrong with a file that is broken.
    """

    format: Format
    version: int = 0
    crc64: int = 0
    found: str = ""

    @property
    def has_checksum(self) -> bool:
        """Return whether the bytes of the file can be compared with a checksum."""
        return self.format is Format.WITH_CHECKSUM


def judge_ends(first: bytes, last: bytes, size: int) -> Ends:
    """Judge a file by its first and last nine bytes (fewer if it has fewer) and its size in bytes.

    `b"REDIS0011", b"\\xff" + checksum, 1024` → `Ends(WITH_CHECKSUM, 11, …)`.
    """
    if not first.startswith(_MAGIC[: len(first)]):
        return Ends(Format.UNKNOWN)
    if size == 0:
        return Ends(Format.BROKEN, found="it is empty")
    if size < END_SIZE:
        return Ends(Format.BROKEN, found=f"it is cut short: it has {size} bytes")
    if not re.fullmatch(rb"REDIS\d{4}", first):
        return Ends(Format.UNKNOWN)
    version = int(first[len(_MAGIC) :])
    if version < _FIRST_WITH_CHECKSUM:
        if last[-1] != _END_MARK or size < END_SIZE + 1:
            return Ends(Format.BROKEN, version, found=f"it is cut short: its last byte is {last[-1]:02x}, not ff")
        return Ends(Format.WITHOUT_CHECKSUM, version)
    if size < 2 * END_SIZE or last[0] != _END_MARK:
        return Ends(Format.BROKEN, version, found="it is cut short: its last nine bytes do not begin with ff")
    checksum = int.from_bytes(last[-_CHECKSUM_SIZE:], "little")
    return Ends(Format.WITH_CHECKSUM if checksum else Format.WITHOUT_CHECKSUM, version, checksum)


def is_sound(crc64_of_file: int) -> bool:
    """Return whether a file has the checksum that it states, given the CRC-64 of the whole file.

    The CRC-64 of any bytes that are followed by their own (little-endian, as here) is 0.
    """
    return crc64_of_file == 0
