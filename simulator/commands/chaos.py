"""`python -m simulator chaos`: many rounds of everything going wrong at once."""

from __future__ import annotations

import os
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from functools import partial

import click

from simulator.chaos import Round, cost_of_following, run_round

HELD = (
    "no instance with two backups for one request",
    "none without one, unless it ended failed and said why",
    "every job ID in a record",
    "one final record per instance, or the same one again",
    "no secret let out",
    "every invocation ended before its time-out",
)


@click.command()
@click.option("--rounds", default=500, show_default=True, help="How many.")
@click.option("--seed", default=0, show_default=True, help="The first round's; each further one adds 1.")
@click.option("--instances", default=20, show_default=True, help="Of each round's fleet.")
@click.option("--processes", default=os.cpu_count() or 1, show_default="one per core", help="Rounds at a time.")
def chaos(rounds: int, seed: int, instances: int, processes: int) -> None:
    """Random fleets, events, faults, kills and repeats; then the invariants.

    A round that breaks one is printed with its seed, and replays exactly: chaos --rounds 1 --seed SEED.
    """
    from rich.console import Console
    from rich.progress import track
    from rich.table import Table

    console = Console()
    counts: Counter[str] = Counter()
    broken: list[Round] = []
    with ProcessPoolExecutor(processes) as pool:
        results = pool.map(partial(run_round, instances=instances), range(seed, seed + rounds))
        for result in track(results, "chaos", total=rounds, console=Console(stderr=True)):
            counts += result.counts
            if result.violations:
                broken.append(result)
    table = Table("survived", "how often", title=f"{rounds} rounds from seed {seed}")
    table.columns[1].justify = "right"
    for name, count in counts.items():
        table.add_row(name, f"{count:,}")
    table.add_row("calls struck by a fault", f"{counts['faults'] / max(1, counts['calls']):.0%}")
    console.print(table)
    following, waiting = cost_of_following()
    console.print(
        f"A 10-minute backup followed to its end: {following:.1f} s of compute time; waiting inside the function: "
        f"{waiting:.0f} s ({following / waiting:.1%})."
    )
    for result in broken:
        console.print(f"[red]seed {result.seed}[/]")
        for violation in result.violations:
            console.print(f"  {violation}", markup=False)
    if broken:
        first = broken[0].seed
        console.print(f"Replay with: python -m simulator chaos --rounds 1 --seed {first} --instances {instances}")
        raise SystemExit(1)
    console.print("Held in every round: " + "; ".join(HELD) + ".")
