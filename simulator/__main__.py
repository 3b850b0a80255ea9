"""`python -m simulator`: see `--help`."""

from __future__ import annotations

import importlib
import io
import os
import sys

import click

COMMANDS = {  # name: where it is; loaded when it is needed
    "demo": "simulator.commands.demo:demo",
    "run": "simulator.commands.run:run",
    "serve": "simulator.commands.serve:serve",
    "logs": "simulator.commands.logs:logs",
    "chaos": "chaos.__main__:main",
}


class Commands(click.Group):
    """The commands, each in a module of its own."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 the order above is the one to read
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name].partition(":")
        command: click.Command = getattr(importlib.import_module(module), name)
        return command


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
def main() -> None:
    """The cloud on one machine: R-KVStore, Function Compute and a log store over real sockets.

    No account is needed and nothing leaves this machine. The function runs as it is deployed, and talks to the
    simulator by the official SDKs.

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
