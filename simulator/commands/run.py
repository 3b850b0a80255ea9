"""`run`: one event through the function, and all that follows from it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, BinaryIO

import click

from simulator.commands import events
from simulator.commands.options import cloud_from, cloud_options

if TYPE_CHECKING:
    from simulator.cloud import Cloud


@click.command(short_help="Send one event through the function and follow it to its end.")
@click.argument("event", type=click.File("rb"), metavar="EVENT_FILE")
@cloud_options
@click.option("--at", metavar="RFC3339", help="The clock at the start.  [default: the event's own time, else now]")
@click.option("--follow/--no-follow", default=True, show_default=True, help="Go on until every backup has ended.")
@click.option("--verbose", "-v", is_flag=True, help="Show every log, not only records.")
def run(event: BinaryIO, at: str | None, follow: bool, verbose: bool, **options: Any) -> None:
    """Send the event in EVENT_FILE (`-`: standard input) through the function.

    Shows each record as it reaches the log store and, when all that followed is over, where each instance ended up.
    The exit status is 0 when every instance has its backup (or, in a dry run, was looked at), else 1.

    \b
    Examples:
      python -m simulator run events/timer.json
      python -m simulator run events/eventbridge-predeploy.json --faults 0.3 --seed 7 --logstore logs.jsonl
      echo '{"instance_ids": "r-bp1zxszhcgatnx01"}' | python -m simulator run -
    """
    from rich.text import Text

    from simulator import console
    from simulator.fc.invocation import load_project

    payload = event.read()
    if at and events.epoch(at) is None:
        raise click.BadParameter(f"expected a time like 2026-11-24T02:00:00Z, not {at!r}", param_hint="--at")
    out = console.console()
    load_project()  # before the clock starts, or a fast one makes much of the time that it takes
    cloud = cloud_from(start=events.epoch(at) if at else events.time_of(payload), **options)

    listing = console.Listing(out, verbose=verbose)
    cloud.logs.listeners.append(listing.log)
    cloud.platform.listeners.append(listing.invocation)
    with cloud:
        _send(cloud, payload, follow)
    rows = console.last_states(cloud.logs.records)
    for letter in cloud.platform.queue.dead_letters:
        listing.line(Text(f"Given up after {letter.attempt + 1} deliveries: {letter.request_id}", "magenta"))
    if rows:
        out.print()
        console.show_last_states(out, rows)
    listing.conclude()
    failed = bool(cloud.platform.queue.dead_letters) or not rows
    if options["logstore"]:
        out.print(f"\nThe logs: python -m simulator logs {options['logstore']}", markup=False, soft_wrap=True)
    raise SystemExit(1 if failed or not all(row.is_good for row in rows) else 0)


def _send(cloud: Cloud, payload: bytes, follow: bool) -> None:
    """Invoke as the trigger does: timers and EventBridge from the queue, with retries, anything else at once."""
    if not follow:
        cloud.platform.invoke(payload)
        return
    with cloud.platform.running():
        if events.is_queued(payload):
            cloud.platform.invoke_async(payload)
        else:
            cloud.platform.invoke(payload)
        cloud.platform.wait_idle()
