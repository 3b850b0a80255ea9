"""Bodies that are made while they are sent, and what can happen to them on the way."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

CHUNK_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True)
class Body:
    """A body of `size` bytes, which can be read once. With fewer bytes in `chunks`, the connection ends after them."""

    size: int
    chunks: Iterable[bytes]


def cut(body: Body) -> Body:
    """Return a body of which the first half is sent."""
    return Body(body.size, _first(body.chunks, body.size // 2))


def flipped(body: Body, at: float = 0.5, mask: int = 0xFF) -> Body:
    """Return a body with another byte: `at`: where, as a part of its length; `mask`: the bits that are inverted."""
    return Body(body.size, flip(body.chunks, int(body.size * at), mask))


def delayed(body: Body, wait: Callable[[], None]) -> Body:
    """Return a body whose second half is sent when `wait` has returned."""
    return Body(body.size, _delay(body.chunks, body.size // 2, wait))


def paced(body: Body, bytes_per_second: float) -> Body:
    """Return a body that is sent at this speed, in real time."""
    return Body(body.size, _pace(body.chunks, bytes_per_second))


def flip(chunks: Iterable[bytes], position: int, mask: int = 0xFF) -> Iterator[bytes]:
    """Yield the chunks with the byte at `position` changed: the bits of `mask` are inverted."""
    for chunk in chunks:
        if 0 <= position < len(chunk):
            chunk = b"".join((chunk[:position], bytes([chunk[position] ^ mask]), chunk[position + 1 :]))
        position -= len(chunk)
        yield chunk


def _first(chunks: Iterable[bytes], size: int) -> Iterator[bytes]:
    for chunk in chunks:
        if size <= 0:
            return
        yield chunk[:size]
        size -= len(chunk)


def _delay(chunks: Iterable[bytes], position: int, wait: Callable[[], None]) -> Iterator[bytes]:
    for chunk in chunks:
        if 0 <= position < len(chunk):
            yield chunk[:position]
            wait()
            yield chunk[position:]
        else:
            yield chunk
        position -= len(chunk)


def _pace(chunks: Iterable[bytes], bytes_per_second: float) -> Iterator[bytes]:
    began, sent = time.monotonic(), 0
    for chunk in chunks:
        sent += len(chunk)
        time.sleep(max(0.0, began + sent / bytes_per_second - time.monotonic()))
        yield chunk
