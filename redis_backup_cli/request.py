"""The command's request: the function's own, and what was said of proof."""

from __future__ import annotations

from dataclasses import dataclass

from redis_backup.request.request import Request
from redis_backup.states import Proof


@dataclass(frozen=True, eq=False)
class CommandRequest(Request):
    """A request with its fields `verify` and `copy` as they were given, None where the function's settings decide."""

    verify: str | None = None
    copy: bool | None = None

    @property
    def is_audit(self) -> bool:
        """Return whether it asks which instances have a backup that was read back, and starts nothing."""
        return self.dry_run and self.proof is not Proof.NONE
