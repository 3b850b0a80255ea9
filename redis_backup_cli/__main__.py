"""`redis-backup` and `python -m redis_backup`: the pipeline's side. See `--help`."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from contextlib import redirect_stderr, redirect_stdout
from typing import TYPE_CHECKING, TextIO, cast

from redis_backup_cli.cli import command
from redis_backup_cli.context import CliContext
from redis_backup_cli.signals import Stopped, raise_stopped
from redis_backup_cli.streams import SafeStream
from redis_backup_cli.values import decode_argument

if TYPE_CHECKING:
    from redis_backup.runtime import Clock


class _ArgumentError(Exception):
    """An argument cannot be decoded."""


def main(arguments: Iterable[str] | None = None, clock: Clock | None = None) -> int:
    """Run the command and return its exit code, or raise SystemExit with it. `arguments`: the process's by default."""
    name = "redis-backup" if sys.argv[0].endswith("redis-backup") else "python -m redis_backup"
    out, err = SafeStream(sys.stdout), SafeStream(sys.stderr)
    with redirect_stdout(cast(TextIO, out)), redirect_stderr(cast(TextIO, err)), raise_stopped():
        try:
            given = _decode(sys.argv[1:] if arguments is None else arguments)
            return int(command.main(given, prog_name=name, obj=CliContext(name, given, out, err, clock)) or 0)
        except _ArgumentError as error:
            err.write(f"Error: {error}\n")
            return 2
        except Stopped as stopped:
            err.write("Stopped. No request was sent.\n")
            return stopped.exit_code


def _decode(arguments: Iterable[str]) -> list[str]:
    """Return the arguments as they were typed. Raise _ArgumentError that names the one that cannot be decoded."""
    decoded: list[str] = []
    for number, argument in enumerate(arguments, 1):
        try:
            decoded.append(decode_argument(argument))
        except UnicodeError:
            names = (argument.partition("=")[0], *decoded[-1:])
            name = next((each for each in names if each.startswith("--") and each.isascii()), f"argument {number}")
            raise _ArgumentError(
                f"{name} cannot be decoded as UTF-8 or in the locale's encoding\n"
                "  no request was sent; type it in UTF-8, or set LC_ALL to the encoding that it has"
            ) from None
    return decoded


if __name__ == "__main__":
    sys.exit(main())
