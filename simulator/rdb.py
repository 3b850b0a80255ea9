"""RDB files of any size, made as they are read.

A file is a head (magic, auxiliary fields, a few keys of several types), then as many keys of 1 MiB as fit, then one
that fills it up to its size, then 0xFF and the CRC-64 of everything before. All large values are the same
pseudo-random block, so that none of them is kept, and the CRC-64 is put together from those of the pieces.

The format: `src/rdb.h` and `src/rdb.c` of https://github.com/redis/redis.
"""

from __future__ import annotations

import random
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property

import anycrc

BLOCK_BYTES = 1024 * 1024
SPARE_BYTES = 64
REDIS_CRC, XZ_CRC = "CRC64-REDIS", "CRC64-XZ"  # of RDB files (Jones), and of OSS
SERVERS = {6: "2.8.24", 7: "3.2.13", 8: "4.0.14", 9: "5.0.14", 10: "7.0.15", 11: "7.2.5"}  # by version of the format
DEFAULT_VERSION = 9  # of Redis 5 and 6; later servers load it, too
MIN_CHECKSUM, MIN_AUX = 5, 7  # the first versions of the format that have these
MAGIC = b"REDIS%04d"
EOF, SELECT_DB, RESIZE_DB, AUX = b"\xff", b"\xfe", b"\xfb", b"\xfa"
STRING, LIST, SET, SORTED_SET, HASH = b"\x00", b"\x01", b"\x02", b"\x03", b"\x04"


@cache
def _noise() -> bytes:
    """Return the pseudo-random bytes that large values are made of: a block and a little more."""
    return random.Random(14).randbytes(BLOCK_BYTES + SPARE_BYTES)  # noqa: S311 replays, no secret


@cache
def _block() -> bytes:
    return _noise()[:BLOCK_BYTES]


@cache
def model(name: str) -> anycrc.Model:
    """Return what calculates a CRC: `calc(data, before)`, and `combine(crc, crc of more, bytes of more)`."""
    return anycrc.Model(name)


@cache
def _block_crc(name: str) -> int:
    return int(model(name).calc(_block()))


@dataclass(frozen=True)
class Pieces:
    """The bytes of a file: `head`, `count` times a record and the block, `last`, `rest` bytes of noise, and the end.

    Record n is `record % n`, of the same length for each n. `end`: its last bytes, but for a checksum. `checksum`: the
    file ends with the CRC-64 of everything before; False: with eight zeros; None: with neither.
    """

    head: bytes
    record: bytes = b""
    count: int = 0
    last: bytes = b""
    rest: int = 0
    end: bytes = b""
    checksum: bool | None = None

    @cached_property
    def size(self) -> int:
        """Return the bytes of the file."""
        after = len(self.last) + self.rest + len(self.end) + (0 if self.checksum is None else 8)
        return len(self.head) + self.count * self._stride + after

    def read(self, start: int, stop: int) -> Iterator[bytes]:
        """Yield the bytes from `start` to before `stop`, in chunks."""
        while start < stop:
            chunk = self._from(start)[: stop - start]
            yield chunk
            start += len(chunk)

    @cached_property
    def crc64(self) -> int:
        """Return the CRC-64 of the file as OSS states it (CRC-64/XZ)."""
        return int(model(XZ_CRC).calc(self._checksum, self._crc(XZ_CRC)))

    def _from(self, position: int) -> bytes:
        """Return the bytes from a position to the end of its piece."""
        if position < len(self.head):
            return self.head[position:]
        number, offset = divmod(position - len(self.head), self._stride)
        if number >= self.count:
            return self._after_records(position - len(self.head) - self.count * self._stride)
        record = self._record(number)
        return record[offset:] or _block()[offset - len(record) :]

    def _after_records(self, position: int) -> bytes:
        if position < len(self.last):
            return self.last[position:]
        position -= len(self.last)
        return _noise()[position : self.rest] or (self.end + self._checksum)[position - self.rest :]

    def _record(self, number: int) -> bytes:
        return self.record % number if self.record else b""

    @cached_property
    def _stride(self) -> int:
        return len(self._record(0)) + BLOCK_BYTES

    @cached_property
    def _checksum(self) -> bytes:
        if self.checksum is None:
            return b""
        return struct.pack("<Q", self._crc(REDIS_CRC) if self.checksum else 0)

    def _crc(self, name: str) -> int:
        """Return the CRC-64 of everything before the checksum."""
        crc, of_block = model(name), _block_crc(name)
        value = crc.calc(self.head)
        for number in range(self.count):
            value = crc.combine(crc.calc(self._record(number), value), of_block, BLOCK_BYTES)
        return int(crc.calc(self.last + _noise()[: self.rest] + self.end, value))


def rdb_file(
    seed: str,
    size: int | None = None,
    *,
    version: int = DEFAULT_VERSION,
    checksum: bool = True,
    empty: bool = False,
    created: int = 0,
) -> Pieces:
    """Return an RDB file, the same for the same seed: a small one, or one of `size` bytes.

    `checksum`: False writes zeros, as servers do with `rdbchecksum no`. `empty`: it has no keys. `created`: seconds
    since 1970. Raise ValueError when `size` is too small for the keys.
    """
    tag = f"{zlib.crc32(seed.encode()):08x}"
    has_checksum = checksum if version >= MIN_CHECKSUM else None
    head = MAGIC % version + _aux(version, created)
    if empty:
        return Pieces(head, end=EOF, checksum=has_checksum)
    small = _small_keys(tag)
    if size is None:
        return Pieces(head + _database(version, small), end=EOF, checksum=has_checksum)
    record = STRING + bytes([len(tag) + 9]) + f"{tag}:%08d".encode() + _long(BLOCK_BYTES)
    last = STRING + _text(f"{tag}:rest")
    fixed = Pieces(head + _database(version, small), last=last + _long(0), end=EOF, checksum=has_checksum).size
    if size < fixed:
        raise ValueError(f"a file with keys has at least {fixed} bytes, not {size}")
    count, rest = divmod(size - fixed, len(record % 0) + BLOCK_BYTES)
    head += _database(version, small, count + 1)
    return Pieces(head, record, count, last + _long(rest), rest, EOF, has_checksum)


def noise_file(seed: str, size: int) -> Pieces:
    """Return a file without a format, such as an encrypted one: `size` pseudo-random bytes, different for each seed."""
    head = random.Random(seed).randbytes(min(size, 32))  # noqa: S311 replays, no secret
    count, rest = divmod(size - len(head), BLOCK_BYTES)
    return Pieces(head, count=count, rest=rest)


def _aux(version: int, created: int) -> bytes:
    """Return the auxiliary fields that a server of that version writes first."""
    if version < MIN_AUX:
        return b""
    fields = {
        "redis-ver": SERVERS.get(version, "7.2.5"),
        "redis-bits": "64",
        "ctime": str(created),
        "used-mem": "870000",
    }
    return b"".join(AUX + _text(name) + _text(value) for name, value in fields.items())


def _database(version: int, keys: list[bytes], more: int = 0) -> bytes:
    """Return database 0, as far as its small keys. `more`: how many keys follow."""
    resize = RESIZE_DB + _long(len(keys) + more) + _long(0) if version >= MIN_AUX else b""
    return SELECT_DB + b"\x00" + resize + b"".join(keys)


def _small_keys(tag: str) -> list[bytes]:
    """Return a key of each simple type."""
    return [
        STRING + _text(f"{tag}:greeting") + _text("hello"),
        STRING + _text(f"{tag}:counter") + b"\xc0\x2a",  # 42, as an integer of 8 bits
        LIST + _text(f"{tag}:queue") + b"\x02" + _text("first") + _text("second"),
        SET + _text(f"{tag}:members") + b"\x01" + _text("one"),
        SORTED_SET + _text(f"{tag}:ranks") + b"\x01" + _text("gold") + _text("1"),
        HASH + _text(f"{tag}:user") + b"\x02" + _text("name") + _text("Ada") + _text("id") + _text("7"),
    ]


def _text(text: str) -> bytes:
    """Return a string of fewer than 64 bytes, its length first."""
    return bytes([len(text)]) + text.encode()


def _long(number: int) -> bytes:
    """Return a length of 32 bits."""
    return b"\x80" + struct.pack(">I", number)
