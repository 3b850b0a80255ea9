"""`python -m benchmarks`: see `--help`."""

from __future__ import annotations

from pathlib import Path

import click

from benchmarks import cold_start, report_page, simulated, throughput
from benchmarks.environment import PROJECT, Environment, UnavailableError, prepare
from benchmarks.measure import Measure


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--rounds", default=5, show_default=True, help="Of each measurement that takes real time.")
@click.option("--instances", default=10_000, show_default=True, help="Of the one that is split into shards.")
@click.option("--only", default="abcdefg", show_default=True, help="The letters of what is measured.")
@click.option("--docs", type=click.Path(path_type=Path), default=PROJECT / "docs", help="Where the page goes.")
def main(rounds: int, instances: int, only: str, docs: Path) -> None:
    """Measure how fast, small and cheap the function is, and write docs/benchmarks.md with its plot.

    Builds the package first, in build/bench. A page is written only where all is measured.
    """
    try:
        say("building the package")
        environment = prepare(PROJECT / "build" / "benchmarks")
    except UnavailableError as lack:
        raise click.ClickException(f"nothing can be measured: {lack}") from None
    measures: list[Measure] = []
    if "a" in only:
        measures += cold_start.measure(environment, rounds, say)
    if set(only) & set("bcd"):
        measures += throughput.measure(environment, rounds, say)
    if "e" in only:
        measures += simulated.shards(instances, say)
    if "f" in only:
        measures += simulated.follow(say)
    if "g" in only:
        measures.append(size(environment))
    for each in measures:
        target = f"target {each.target:.2f}: {each.verdict.strip('*')}" if each.target else ""
        click.echo(f"{each.letter}  {each.what}\n   {each.value}  ({each.reference})  {each.rounded}  {target}")
    if set(only) >= set("abcdefg"):
        (docs / "benchmarks.md").write_text(report_page.markdown(measures, rounds), encoding="utf-8")
        (docs / report_page.PLOT).write_text(report_page.plot(measures), encoding="utf-8")
        click.echo(f"written: {docs / 'benchmarks.md'}")


def size(environment: Environment) -> Measure:
    """(g) How large the package is."""
    ours, plain = (
        path.with_name(f"{path.name}.zip").stat().st_size for path in (environment.package, environment.plain)
    )
    value, reference = f"{ours / 1e6:.2f} MB", f"the limit, 10 MB; as pip installs it {plain / 1e6:.2f} MB"
    return Measure("g", "package, zipped", value, reference, ours / 1e7, 1.0)


def say(text: str) -> None:
    click.echo(f"… {text}", err=True)


if __name__ == "__main__":
    main(prog_name="python -m benchmarks")
