"""`python -m redis_backup` and `redis-backup`: the pipeline's side. See `--help`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from redis_backup.runtime import Clock

INSTALL = 'This command needs two more libraries, which the function does without: pip install "redis-backup[cli]"'


def main(arguments: Sequence[str] | None = None, clock: Clock | None = None) -> int:
    """Run the command, `arguments` being the process's own by default; the exit code. Raise SystemExit likewise."""
    if not (find_spec("click") and find_spec("rich")):
        sys.stderr.write(f"{INSTALL}\n")
        return 2
    from redis_backup.command.cli import Surroundings, command

    given = list(sys.argv[1:] if arguments is None else arguments)
    name = "redis-backup" if sys.argv[0].endswith("redis-backup") else "python -m redis_backup"
    return int(command.main(given, prog_name=name, obj=Surroundings(name, given, clock)) or 0)


if __name__ == "__main__":
    sys.exit(main())
