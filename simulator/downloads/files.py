"""The file of a backup: what a test says of it, and its bytes."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Protocol

from simulator import bodies, rdb

CHUNK_BYTES = 1024 * 1024
SMALL_BYTES = 100_000  # of a file by default, and a little more


class Content(Protocol):
    """The bytes of a file."""

    @property
    def size(self) -> int:
        """Return how many there are."""

    @property
    def crc64(self) -> int:
        """Return their CRC-64 as OSS states it (CRC-64/XZ)."""

    def read(self, start: int, stop: int) -> Iterator[bytes]:
        """Yield the bytes from `start` to before `stop`, in chunks."""


@dataclass(frozen=True)
class File:
    """What the file of a backup is: by default a sound RDB file of some 100 kB, another one for each job.

    `size`: of the generated file, in bytes; `content` or `path`: the bytes of the file instead. `version`: of the RDB
    format; below 5 it has no checksum. `checksum`: False has zeros instead. `empty`: the database has no keys.
    `encrypted`: it is no RDB file. `cut`: so many bytes are missing at its end. `flip`: the offset of a byte that is
    not what it was; below 0: from the end. `listed`: False has no addresses in the lists. `missing`: a cloud-native
    cluster's list has no entry for it.
    """

    size: int | None = None
    content: bytes | None = None
    path: str | None = None
    version: int = rdb.DEFAULT_VERSION
    checksum: bool = True
    empty: bool = False
    encrypted: bool = False
    cut: int = 0
    flip: int | None = None
    listed: bool = True
    missing: bool = False


@lru_cache(maxsize=1024)
def content(file: File, seed: str, created: int) -> Content:
    """Return a file's bytes. `seed`: of what is generated; `created`: when, in seconds since 1970."""
    whole: Content
    if file.path is not None or file.content is not None:
        whole = Held(Path(file.path).read_bytes() if file.path is not None else file.content or b"")
    else:
        size = SMALL_BYTES + zlib.crc32(seed.encode()) % SMALL_BYTES if file.size is None else file.size
        whole = rdb.noise_file(seed, size) if file.encrypted else _rdb_file(file, seed, size, created)
    return Damaged(whole, file.cut, file.flip) if file.cut or file.flip is not None else whole


def _rdb_file(file: File, seed: str, size: int, created: int) -> Content:
    return rdb.rdb_file(seed, size, version=file.version, checksum=file.checksum, empty=file.empty, created=created)


@dataclass(frozen=True)
class Held:
    """Bytes that are kept."""

    data: bytes

    @property
    def size(self) -> int:
        """Return how many there are."""
        return len(self.data)

    @cached_property
    def crc64(self) -> int:
        """Return their CRC-64/XZ."""
        return _crc64(self)

    def read(self, start: int, stop: int) -> Iterator[bytes]:
        """Yield the bytes from `start` to before `stop`, in chunks."""
        for begin in range(start, stop, CHUNK_BYTES):
            yield self.data[begin : min(stop, begin + CHUNK_BYTES)]


@dataclass(frozen=True)
class Damaged:
    """The bytes of `whole`, without the last `cut` of them, and with another one at `flip`."""

    whole: Content
    cut: int
    flip: int | None

    @property
    def size(self) -> int:
        """Return how many there are."""
        return max(0, self.whole.size - self.cut)

    @cached_property
    def crc64(self) -> int:
        """Return their CRC-64/XZ."""
        return _crc64(self)

    def read(self, start: int, stop: int) -> Iterator[bytes]:
        """Yield the bytes from `start` to before `stop`, in chunks."""
        chunks = self.whole.read(start, stop)
        return chunks if self.flip is None else bodies.flip(chunks, self.flip % self.size - start)


def _crc64(content: Content) -> int:
    value = 0
    for chunk in content.read(0, content.size):
        value = int(rdb.model(rdb.XZ_CRC).calc(chunk, value))
    return value
