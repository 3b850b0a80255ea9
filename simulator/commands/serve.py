"""`serve`: the cloud for any other client, until it is interrupted."""

from __future__ import annotations

import shlex
import shutil
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from simulator.commands.options import cloud_from, cloud_options

if TYPE_CHECKING:
    from simulator.cloud import Cloud
    from simulator.gateway import Call

# What would spoil the settings; the SDKs send even calls of 127.0.0.1 through a proxy.
_UNSET = "unset ALIBABA_CLOUD_SECURITY_TOKEN HTTP_PROXY HTTPS_PROXY http_proxy https_proxy"


@click.command(short_help="Serve the cloud for any other client.")
@click.option("--port", type=click.IntRange(0, 65535), default=8421, show_default=True, help="0 takes any free one.")
@click.option("--tls", nargs=2, type=click.Path(exists=True), metavar="CERT KEY", help="Serve HTTPS with these files.")
@cloud_options
@click.option("--calls", is_flag=True, help="Show each API call, too.")
@click.option("--verbose", "-v", is_flag=True, help="Show every log, not only records.")
def serve(port: int, tls: tuple[str, str] | None, calls: bool, verbose: bool, **options: Any) -> None:
    """Serve the cloud on 127.0.0.1 for any client. Print the settings to export, and a command to try.

    R-KVStore answers at `/`, or at `/REGION` for one region's instances alone; functions are invoked at the paths of
    Function Compute's API. Signatures are verified, so use the credentials that are printed.

    \b
    Examples:
      python -m simulator serve
      python -m simulator serve --speed 1 --port 0 --calls
    """
    from rich.text import Text

    from simulator import console
    from simulator.fc.invocation import load_project

    listing = console.Listing(console.console(), verbose=verbose, at_once=True)
    load_project()  # before the clock starts, or a fast one makes much of the time that it takes
    try:
        cloud = cloud_from(port=port, tls=tls or None, **options)
    except OSError as error:
        message = f"port {port} cannot be used ({error.strerror}); --port 0 takes any free one"
        raise click.ClickException(message) from None
    cloud.logs.listeners.append(listing.log)
    cloud.platform.listeners.append(listing.invocation)
    if calls:
        cloud.gateway.listeners.append(lambda call: listing.line(Text(_call_text(call))))
    with cloud, cloud.platform.running():
        click.echo("\n".join(_introduction(cloud, is_fast=options["speed"] > 1)))
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            click.echo("stopped")


def _introduction(cloud: Cloud, *, is_fast: bool) -> list[str]:
    """Return what to paste into another terminal: settings, those of `redis-backup` first, then a command to try."""
    settings = cloud.environ()
    of_command = {name for name in settings if name.startswith("ALIBABA_CLOUD_") or name == "BACKUP_FC_ENDPOINT"}
    about = f"# {len(cloud.fleet)} instances at {cloud.endpoint}."
    lines = [f"{about} Paste this into another terminal. Ctrl-C here ends it.", _UNSET]
    lines += [f"export {name}={shlex.quote(settings[name])}" for name in settings if name in of_command]
    lines += ["# For a program that runs the function itself, or calls R-KVStore:"]
    lines += [f"export {name}={shlex.quote(settings[name])}" for name in settings if name not in of_command]
    lines += ["# This clock runs faster than yours: redis-backup says so, and goes by it."] if is_fast else []
    return [*lines, "# Back up an instance:", *_command(cloud)]


def _command(cloud: Cloud) -> list[str]:
    """Return the command that backs up the fleet's first instance to which the function has access; [] without one."""
    found = next((each for each in cloud.fleet if not each.denied), None)
    if found is None:
        return []
    function = cloud.function
    beside = Path(sys.executable).with_name("redis-backup")
    program = str(beside) if beside.exists() and not shutil.which("redis-backup") else "redis-backup"
    instance = found.id if found.region == function.region else f"{found.region}/{found.id}"
    service = ["--service", function.service] if function.generation == 2 else []
    return [shlex.join([program, instance, "--function", function.name, *service, "--wait", "30m"])]


def _call_text(call: Call) -> str:
    answer = str(call.status) if call.status else "no answer"
    return " ".join(part for part in ("    API", call.operation, call.instance, answer, call.code) if part)
