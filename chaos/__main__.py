"""`python -m chaos`: many rounds of everything going wrong at once, and large fleets under a quota."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from typing import TYPE_CHECKING

import click

from chaos import Round, cost_of_following, fleets, run_round

if TYPE_CHECKING:
    from rich.console import Console

HELD = (
    "no instance with two good backups for one request",
    "no more backups tried than allowed, none started in the face of a good one",
    "none lost in silence",
    "every job ID in a record",
    "no record that is untrue",
    "one closing record for each request, with the right counts",
    "no secret let out, no redirect followed",
    "every invocation ended before its time-out",
    "no more invocations than the steps of a follow-up",
)
SHOWN = 4  # violations of a round


@click.command()
@click.option("--rounds", default=500, show_default=True, help="How many.")
@click.option("--seed", default=0, show_default=True, help="The first round's; each further one adds 1.")
@click.option("--instances", type=click.IntRange(1), help="At most so many in a round's fleet.")
@click.option("--processes", default=os.cpu_count() or 1, show_default="one per core", help="Rounds at a time.")
@click.option("--fleets", "with_fleets", is_flag=True, help="Large fleets under a quota of calls, too.")
def main(rounds: int, seed: int, instances: int | None, processes: int, with_fleets: bool) -> None:
    """Random fleets, events, faults, kills, outages and repeats; then the invariants.

    \b
    Strict rounds keep to what the function promises to bear, rounds beyond do not: backups of 1 to 15 seconds,
    time-outs of 60. A round that breaks what was promised is printed with its seed, and replays exactly:
      python -m chaos --rounds 1 --seed SEED
    """
    from rich.console import Console
    from rich.progress import track

    console = Console()
    totals: dict[bool, Counter[str]] = {False: Counter(), True: Counter()}
    kinds: dict[bool, Counter[str]] = {False: Counter(), True: Counter()}
    broken: list[Round] = []
    with ProcessPoolExecutor(processes) as pool:
        results = pool.map(partial(run_round, instances=instances), range(seed, seed + rounds))
        for result in track(results, "chaos", total=rounds, console=Console(stderr=True)):
            totals[result.beyond] += result.counts
            kinds[result.beyond].update(result.kinds)
            if result.violations:
                broken.append(result)
        outcomes = list(pool.map(fleets.run_fleet, fleets.FLEETS)) if with_fleets else []
    _show_counts(console, f"{rounds} rounds from seed {seed}", totals)
    if outcomes:
        _show_fleets(console, outcomes)
    following, waiting = cost_of_following()
    console.print(
        f"A 10-minute backup followed to its end: {following:.1f} s of compute time; waiting inside the function: "
        f"{waiting:.0f} s ({following / waiting:.1%})."
    )
    if broken:
        _show_broken(console, broken, kinds, instances)
    if broken or any(outcome.violations for outcome in outcomes):
        raise SystemExit(1)
    console.print("Held in every round: " + "; ".join(HELD) + ".")


def _show_counts(console: Console, title: str, totals: dict[bool, Counter[str]]) -> None:
    from rich.table import Table

    table = Table("survived", "strict rounds", "rounds beyond", title=title)
    for column in table.columns[1:]:
        column.justify = "right"
    for name in dict.fromkeys([*totals[False], *totals[True]]):
        table.add_row(name, f"{totals[False][name]:,}", f"{totals[True][name]:,}")
    for name, of in (("invocations", "events delivered"), ("API calls", "instances")):
        row = (f"{total[name] / max(1, total[of]):.1f}" for total in totals.values())
        table.add_row(f"{name}: {of}", *row)
    console.print(table)


def _show_fleets(console: Console, outcomes: Sequence[fleets.Outcome]) -> None:
    from rich.table import Table

    columns = ("instances", "calls a second", "shards", "last start", "ideal", "calls each", "throttled", "twice")
    table = Table(*columns, "invocations", title="Fleets under a quota", row_styles=("",))
    for column in table.columns:
        column.justify = "right"
    for each in outcomes:
        quota = each.quota
        counts = (each.throttled, each.twice, each.invocations)
        table.add_row(
            f"{quota.instances:,}",
            f"{quota.calls_a_second:g}",
            str(quota.shards),
            f"{each.seconds:.0f} s",
            f"{quota.ideal:.0f} s",
            f"{each.calls:.2f}",
            *(f"{count:,}" for count in counts),
        )
    console.print(table)
    for each in outcomes:
        for violation in each.violations:
            console.print(f"[red]{each.quota.instances:,} instances:[/] {violation}")


def _show_broken(
    console: Console, broken: Sequence[Round], kinds: dict[bool, Counter[str]], instances: int | None
) -> None:
    for result in broken:
        console.print(f"[red]seed {result.seed}[/]{' (beyond)' if result.beyond else ''}")
        for violation in result.violations[:SHOWN]:
            console.print(f"  {violation}", markup=False, soft_wrap=True)
        if len(result.violations) > SHOWN:
            console.print(f"  … and {len(result.violations) - SHOWN} more")
    for beyond, counter in kinds.items():
        if counter:
            rounds = ", ".join(f"{kind} in {count}" for kind, count in counter.most_common())
            console.print(f"Broken in {'rounds beyond' if beyond else 'strict rounds'}: {rounds}")
    limit = f" --instances {instances}" if instances else ""
    console.print(f"Replay with: python -m chaos --rounds 1 --seed {broken[0].seed}{limit}")


if __name__ == "__main__":
    main(prog_name="python -m chaos")
