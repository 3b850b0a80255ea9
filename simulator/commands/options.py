"""The options by which a person describes a cloud, shared by the commands."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from simulator.clock import ScaledClock
from simulator.cloud import Cloud
from simulator.faults import Faults
from simulator.fc.config import FunctionConfig
from simulator.kvstore.behaviour import Behaviour
from simulator.kvstore.fleet import DEFAULT_FLEET, Fleet

DEFAULT_STORE = "oss://backups/redis"  # so that samples with `copy` work as they are
_OPTIONS = [
    click.option(
        "--fleet",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        default=DEFAULT_FLEET,
        help="YAML file of the instances.  [default: one of each sort]",
    ),
    click.option("--generate", type=click.IntRange(1), metavar="N", help="Make up N instances instead."),
    click.option(
        "--speed",
        type=click.FloatRange(0, min_open=True),
        default=60.0,
        show_default=True,
        help="How much faster than real time the cloud's clock runs.",
    ),
    click.option(
        "--faults",
        "fault_rate",
        type=click.FloatRange(0, 1),
        default=0.0,
        metavar="SHARE",
        help="Share of API calls that go wrong: reset, hanging, throttled, lost after they were done, …",
    ),
    click.option(
        "--kills",
        "kill_rate",
        type=click.FloatRange(0, 1),
        default=0.0,
        metavar="SHARE",
        help="Share of queued invocations that are killed half-way.",
    ),
    click.option("--seed", type=int, default=0, show_default=True, help="The same seed, the same faults."),
    click.option(
        "--lag",
        type=click.FloatRange(0),
        default=0.0,
        metavar="SECONDS",
        help="How long a backup that has ended is listed nowhere.",
    ),
    click.option(
        "--generation",
        type=click.Choice(["2", "3"]),
        default="3",
        show_default=True,
        help="Of Function Compute: 2 has services, 3 has functions alone.",
    ),
    click.option(
        "--timeout", type=click.FloatRange(1), default=300.0, show_default=True, help="Of the function, in seconds."
    ),
    click.option(
        "--set",
        "settings",
        multiple=True,
        metavar="NAME=VALUE",
        help="An environment variable of the function, such as BACKUP_FOLLOW_SECONDS=30. May be repeated.",
    ),
    click.option(
        "--logstore",
        type=click.Path(dir_okay=False, writable=True, path_type=Path),
        help="Keep the logs in this file (JSON Lines; read it with `logs`).",
    ),
]


def cloud_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that `cloud_from` takes."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def cloud_from(
    *, start: float | None = None, port: int = 0, tls: tuple[str, str] | None = None, **options: Any
) -> Cloud:
    """Return a cloud as the options describe it, its clock at `start` (seconds since 1970, default now)."""
    try:
        count = options["generate"]
        fleet = Fleet.generate(count, options["seed"]) if count else Fleet.load(options["fleet"])
        settings = {"BACKUP_STORE": DEFAULT_STORE, **dict(_setting(text) for text in options["settings"])}
        return Cloud(
            fleet,
            clock=ScaledClock(options["speed"], start),
            function=FunctionConfig(generation=int(options["generation"]), timeout=options["timeout"]),
            settings=settings,
            faults=Faults(options["fault_rate"], options["seed"], kill_rate=options["kill_rate"]),
            behaviour=Behaviour(listing_lag=options["lag"]),
            port=port,
            tls=tls,
            log_file=options["logstore"],
        )
    except (OSError, ValueError) as error:
        raise click.ClickException(str(error)) from None


def _setting(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise click.BadParameter(f"expected NAME=VALUE, not {text!r}", param_hint="--set")
    return name, value
