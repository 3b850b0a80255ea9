"""`serve`: the cloud for any other client, until it is interrupted."""

from __future__ import annotations

import shlex
import threading
from typing import TYPE_CHECKING, Any

import click

from simulator.commands.options import cloud_from, cloud_options

if TYPE_CHECKING:
    from simulator.gateway import Call


@click.command(short_help="Serve the cloud for any other client.")
@click.option("--port", type=click.IntRange(0, 65535), default=8421, show_default=True, help="0 takes any free one.")
@click.option("--tls", nargs=2, type=click.Path(exists=True), metavar="CERT KEY", help="Serve HTTPS with these files.")
@cloud_options
@click.option("--calls", is_flag=True, help="Show each API call, too.")
@click.option("--verbose", "-v", is_flag=True, help="Show every log, not only records.")
def serve(port: int, tls: tuple[str, str] | None, calls: bool, verbose: bool, **options: Any) -> None:
    """Serve the cloud on 127.0.0.1 for any client, and print the settings to export.

    R-KVStore answers at `/`, or at `/REGION` for one region's instances alone; functions are invoked at the paths of
    Function Compute's API. Signatures are verified, so use the credentials that are printed.

    \b
    Examples:
      python -m simulator serve
      python -m simulator serve --speed 1 --port 0 --calls
    """
    from simulator import console
    from simulator.fc.invocation import load_project

    out = console.console()
    load_project()  # before the clock starts, or a fast one makes much of the time that it takes
    cloud = cloud_from(port=port, tls=tls or None, **options)
    for name, value in cloud.environ().items():
        click.echo(f"export {name}={shlex.quote(value)}")
    click.echo(f"# {len(cloud.fleet)} instances at {cloud.endpoint}, Ctrl-C ends it")
    if options["speed"] > 1:
        click.echo("# Its clock runs ahead of yours: redis-backup says so, and goes by it. --speed 1 avoids that.")

    def show(text: Any) -> None:
        if text is not None:
            out.print(text)

    cloud.logs.listeners.append(lambda log: show(console.line(log, verbose=verbose)))
    cloud.platform.listeners.append(lambda invocation: show(console.failure(invocation)))
    if calls:
        cloud.gateway.listeners.append(lambda call: show(_call_text(call)))
    with cloud, cloud.platform.running():
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            click.echo("stopped")


def _call_text(call: Call) -> str:
    answer = str(call.status) if call.status else "no answer"
    return " ".join(part for part in ("    API", call.operation, call.instance, answer, call.code) if part)
