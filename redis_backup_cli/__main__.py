"""`redis-backup` and `python -m redis_backup`: the pipeline's side. See `--help`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from redis_backup_cli.cli import command
from redis_backup_cli.context import CliContext

if TYPE_CHECKING:
    from redis_backup.runtime import Clock


def main(arguments: Sequence[str] | None = None, clock: Clock | None = None) -> int:
    """Run the command, `arguments` being the process's own by default; the exit code. Raise SystemExit likewise."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    name = "redis-backup" if sys.argv[0].endswith("redis-backup") else "python -m redis_backup"
    return int(command.main(given, prog_name=name, obj=CliContext(name, given, clock)) or 0)


if __name__ == "__main__":
    sys.exit(main())
