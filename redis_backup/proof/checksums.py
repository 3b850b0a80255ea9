"""Calculate CRC-64 of data that is read in parts, in any order: Redis's of a file, and OSS's of an object."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import Any

REDIS, OSS = "CRC64-REDIS", "CRC64-XZ"  # their names in the catalogue of CRC algorithms


@cache
def crc64(name: str) -> Any:
    """Return the native calculator: `calc(data, crc=0)`, `combine(crc, next_crc, next_length)`.

    It is imported here, because most invocations read no file.
    """
    return import_module("anycrc").Model(name)


def combine(name: str, parts: list[tuple[int, int]]) -> int:
    """Return the CRC-64 of data, given those of its parts: `[(crc, length), …]` in the data's order."""
    total = 0
    for crc, length in parts:
        total = crc64(name).combine(total, crc, length)
    return total
