"""The command `python -m simulator`."""

from __future__ import annotations

import importlib
import io
import os
import sys

import click

COMMANDS = {  # name: module and function; a module is loaded when its command is used
    "demo": "simulator.commands.demo:demo",
    "run": "simulator.commands.run:run",
    "serve": "simulator.commands.serve:serve",
    "logs": "simulator.commands.logs:logs",
    "chaos": "chaos.__main__:main",
}


class Commands(click.Group):
    """The commands, each in its own module."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """Return the names in the order above, not sorted."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import and return a command; None for an unknown name."""
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name].partition(":")
        command: click.Command = getattr(importlib.import_module(module), name)
        return command


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
def main() -> None:
    """Run the cloud on one machine: R-KVStore, Function Compute and a log store over real sockets.

    No account is needed and nothing leaves this machine. The function runs as it is deployed, and uses the official
    SDKs to call the simulator.

    \b
    Try:
      python -m simulator run events/timer.json
      python -m simulator run events/timer.json --faults 0.3 --seed 7
      python -m simulator serve --speed 60
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # where it is not UTF-8: `?` for `→`, and not an exception
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
        os.environ.pop(name, None)  # the SDKs send even calls of 127.0.0.1 through one


if __name__ == "__main__":
    main(prog_name="python -m simulator")
