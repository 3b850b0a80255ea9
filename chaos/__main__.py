"""The command `python -m chaos`: many rounds in which everything goes wrong at once, and large fleets under a quota."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from typing import TYPE_CHECKING

import click

from chaos import Round, cost_of_following, large_fleets, run_round

if TYPE_CHECKING:
    from rich.console import Console

INVARIANTS = (
    "no instance has two good backups for one request",
    "no more attempts than allowed, and none beside a good backup",
    "every instance without a backup is reported",
    "every job ID is in a record",
    "every final record is true",
    "each request has one closing record, with the right counts",
    "no secret is written and no redirect is followed",
    "no check asks for a backup",
    "every invocation ends before its time-out",
    "no more invocations than the follow-ups need",
    "no receipt without sound files, and no copy that differs from its file",
    "no corrupt file is called good, and no sound one corrupt",
    "no address of a file is written, and no upload is left that nothing will finish",
)
MAX_VIOLATIONS = 4  # that are printed of one round


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--rounds", default=500, show_default=True, help="Number of rounds.")
@click.option("--seed", default=0, show_default=True, help="Seed of the first round; each further one adds 1.")
@click.option("--instances", type=click.IntRange(1), help="Maximum number of instances in a round.")
@click.option("--processes", default=os.cpu_count() or 1, show_default="one per core", help="Rounds at the same time.")
@click.option("--fleets", "with_fleets", is_flag=True, help="Also run large fleets under a quota of API calls.")
def main(rounds: int, seed: int, instances: int | None, processes: int, with_fleets: bool) -> None:
    """Run random fleets, events, faults, kills, outages and repeats, and check the invariants after each round.

    \b
    Rounds within the limits keep to the conditions of the guarantee. In the others backups take 1 to 15 seconds and
    time-outs are 60 seconds: there, second backups are only counted. A round that violates an invariant is printed
    with its seed. It replays exactly:
      python -m chaos --rounds 1 --seed SEED
    """
    from rich.console import Console
    from rich.progress import track

    console = Console()
    totals: dict[bool, Counter[str]] = {False: Counter(), True: Counter()}
    kinds: dict[bool, Counter[str]] = {False: Counter(), True: Counter()}
    violated: list[Round] = []
    with ProcessPoolExecutor(processes) as pool:
        results = pool.map(partial(run_round, instances=instances), range(seed, seed + rounds))
        for result in track(results, "chaos", total=rounds, console=Console(stderr=True)):
            totals[result.outside_limits] += result.counts
            kinds[result.outside_limits].update(result.kinds)
            if result.violations:
                violated.append(result)
        fleet_results = list(pool.map(large_fleets.run_fleet, large_fleets.QUOTAS)) if with_fleets else []
    _show_counts(console, f"{rounds} rounds from seed {seed}", totals)
    if fleet_results:
        _show_fleets(console, fleet_results)
    following, waiting = cost_of_following()
    console.print(
        f"Compute time of a 10-minute backup: {following:.1f} s with follow-ups, {waiting:.0f} s with waiting inside "
        f"the function ({following / waiting:.1%})."
    )
    if violated:
        _show_violations(console, violated, kinds, instances)
    if violated or any(result.violations for result in fleet_results):
        raise SystemExit(1)
    console.print("Held in every round: " + "; ".join(INVARIANTS) + ".")


def _show_counts(console: Console, title: str, totals: dict[bool, Counter[str]]) -> None:
    from rich.table import Table

    table = Table("number of", "within the limits", "outside the limits", title=title)
    for column in table.columns[1:]:
        column.justify = "right"
    for name in dict.fromkeys([*totals[False], *totals[True]]):
        table.add_row(name, f"{totals[False][name]:,}", f"{totals[True][name]:,}")
    for name, per in (("invocations", "events delivered"), ("API calls", "instances")):
        row = (f"{total[name] / max(1, total[per]):.1f}" for total in totals.values())
        table.add_row(f"{name} / {per}", *row)
    console.print(table)


def _show_fleets(console: Console, results: Sequence[large_fleets.FleetResult]) -> None:
    from rich.table import Table

    columns = (
        "instances",
        "calls a second",
        "shards",
        "last start",
        "ideal",
        "calls each",
        "throttled",
        "started twice",
    )
    table = Table(*columns, "invocations", title="Fleets under a quota", row_styles=("",))
    for column in table.columns:
        column.justify = "right"
    for each in results:
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
    for each in results:
        for violation in each.violations:
            console.print(f"[red]{each.quota.instances:,} instances:[/] {violation}")


def _show_violations(
    console: Console, violated: Sequence[Round], kinds: dict[bool, Counter[str]], instances: int | None
) -> None:
    for result in violated:
        console.print(f"[red]seed {result.seed}[/]{' (outside the limits)' if result.outside_limits else ''}")
        for violation in result.violations[:MAX_VIOLATIONS]:
            console.print(f"  {violation}", markup=False, soft_wrap=True)
        if len(result.violations) > MAX_VIOLATIONS:
            console.print(f"  … and {len(result.violations) - MAX_VIOLATIONS} more")
    for outside_limits, counter in kinds.items():
        if counter:
            rounds = ", ".join(f"{kind} in {count}" for kind, count in counter.most_common())
            console.print(f"Violated {'outside' if outside_limits else 'within'} the limits: {rounds}")
    limit = f" --instances {instances}" if instances else ""
    console.print(f"Replay with: python -m chaos --rounds 1 --seed {violated[0].seed}{limit}")


if __name__ == "__main__":
    main(prog_name="python -m chaos")
