"""What surrounds one run of the command."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from redis_backup.runtime import Clock


@dataclass(frozen=True)
class CliContext:
    """What the process is: its name, its arguments, and its clock (None for the machine's own)."""

    name: str
    arguments: Sequence[str]
    clock: Clock | None = None
