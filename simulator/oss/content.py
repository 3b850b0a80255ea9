"""What objects and parts consist of: bytes, in memory while they are few, else in files; their size and checksums."""

from __future__ import annotations

import hashlib
import tempfile
import weakref
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import anycrc

from simulator.bodies import CHUNK_BYTES

MAX_IN_MEMORY = 1024 * 1024  # bytes of one segment
CRC64 = anycrc.Model("CRC64-XZ")  # OSS's `crc64ecma`


class Segment:
    """Bytes that were received at once. A file of theirs is removed with the object."""

    def __init__(self, data: bytes, path: Path | None, size: int, crc64: int, md5: str) -> None:
        self.size, self.crc64, self.md5 = size, crc64, md5
        self._data, self._path = data, path
        if path:
            weakref.finalize(self, path.unlink, missing_ok=True)

    def read(self, start: int, end: int) -> Iterator[bytes]:
        """Yield the bytes from `start` to before `end`, a chunk at a time."""
        if self._path is None:
            yield self._data[start:end]
            return
        with self._path.open("rb", buffering=0) as file:
            file.seek(start)
            while start < end and (chunk := file.read(min(CHUNK_BYTES, end - start))):
                start += len(chunk)
                yield chunk


@dataclass(frozen=True)
class Content:
    """An object's bytes, as segments in order."""

    segments: Sequence[Segment]

    @property
    def size(self) -> int:
        """Return the number of bytes."""
        return sum(segment.size for segment in self.segments)

    @property
    def crc64(self) -> int:
        """Return the CRC-64 of all bytes, put together from those of the segments."""
        crc = 0
        for segment in self.segments:
            crc = CRC64.combine(crc, segment.crc64, segment.size)
        return crc

    def read(self, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """Yield the bytes from `start` to before `end` (default: all), a chunk at a time."""
        end = self.size if end is None else end
        for segment in self.segments:
            if start < min(end, segment.size):
                yield from segment.read(max(0, start), min(end, segment.size))
            start, end = start - segment.size, end - segment.size


class Receiver:
    """Receives segments, the larger ones into files of a folder that it makes when it needs it."""

    def __init__(self) -> None:
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    def receive(self, chunks: Iterable[bytes], *, exact: bool = False) -> Segment:
        """Return the segment that the chunks make up; nothing of it is kept when reading them raises.

        Its MD5 is that of its beginning, size and CRC-64 when it is long, unless `exact`: the hash of all bytes would
        take longer than the rest of a simulated upload.
        """
        crc, md5, size, data = 0, hashlib.md5(usedforsecurity=False), 0, bytearray()
        path: Path | None = None
        file = None
        try:
            for chunk in chunks:
                crc = CRC64.calc(chunk, crc)
                if exact or not file:
                    md5.update(chunk)
                size += len(chunk)
                if file is None and size > MAX_IN_MEMORY:
                    path = self._new_path()
                    file = path.open("wb", buffering=0)
                    file.write(data)
                    data.clear()
                if file:
                    file.write(chunk)
                else:
                    data += chunk
        except BaseException:
            if path:
                path.unlink()
            raise
        finally:
            if file:
                file.close()
        if file and not exact:
            md5.update(f"{size} {crc}".encode())
        return Segment(bytes(data), path, size, crc, md5.hexdigest().upper())

    def files(self) -> list[Path]:
        """Return the files of segments that are still there."""
        return [*Path(self._folder.name).iterdir()] if self._folder else []

    def close(self) -> None:
        """Remove all files."""
        if self._folder:
            self._folder.cleanup()
            self._folder = None

    def _new_path(self) -> Path:
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="simulated-oss-")
        return Path(tempfile.mkstemp(dir=self._folder.name)[1])
