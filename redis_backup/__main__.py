"""`python -m redis_backup` forwards to the command, which is a package of its own and not shipped with the function."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import suppress

INSTALL = 'This command needs libraries that are not installed: pip install "redis-backup"'


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `redis_backup_cli`; the exit code, 2 where it or what it needs is not installed."""
    try:
        from redis_backup_cli.__main__ import main as run
    except ModuleNotFoundError:
        with suppress(AttributeError, OSError):  # standard error is closed: None, or a full disk
            sys.stderr.write(f"{INSTALL}\n")
        return 2
    return run(arguments)


if __name__ == "__main__":
    sys.exit(main())
