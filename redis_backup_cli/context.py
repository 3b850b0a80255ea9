"""The streams, arguments and clock of one run of the command."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from redis_backup.runtime import Clock

    from .streams import SafeStream


@dataclass(frozen=True)
class CliContext:
    """The command's name, its arguments, its output streams, and its clock (None for the machine's own)."""

    name: str
    arguments: Sequence[str]
    out: SafeStream
    err: SafeStream
    clock: Clock | None = None
