"""`logs`: a log store's file as a readable list."""

from __future__ import annotations

from pathlib import Path

import click

from simulator import logstore


@click.command(short_help="List the logs that `run` or `serve` kept in a file.")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--instance", metavar="ID", help="Only this Redis instance.")
@click.option("--job", metavar="ID", help="Only this backup job.")
@click.option("--event", metavar="NAME", help="Only this event, such as backup_started.")
@click.option("--json", "as_json", is_flag=True, help="The logs as they are in the file.")
@click.option("--verbose", "-v", is_flag=True, help="Also what is no record.")
def logs(file: Path, instance: str | None, job: str | None, event: str | None, as_json: bool, verbose: bool) -> None:
    """List what `run` or `serve` kept with --logstore: one line for each record, then each hint once.

    \b
    Examples:
      python -m simulator logs logs.jsonl --instance r-bp1zxszhcgatnx01
      python -m simulator logs logs.jsonl --event backup_failed
    """
    from simulator import console

    try:
        found = logstore.matching(logstore.read(file), instance=instance, job=job, event=event)
    except ValueError as error:
        raise click.ClickException(str(error)) from None
    listing = console.Listing(console.console(), verbose=verbose)
    for log in found:
        if as_json:
            click.echo(log.to_json())
        else:
            listing.log(log)
    listing.conclude()
