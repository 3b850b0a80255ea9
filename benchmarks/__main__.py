"""The command `python -m benchmarks`."""

from __future__ import annotations

from pathlib import Path

import click

from benchmarks import cold_start, reading, report, simulated_clock, throughput
from benchmarks.environment import PROJECT, Environment, UnavailableError, prepare
from benchmarks.result import Result

LETTERS = "abcdefghijklm"


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--rounds", default=5, show_default=True, help="Rounds of each measurement in real time.")
@click.option("--instances", default=10_000, show_default=True, help="Number of instances of benchmark e.")
@click.option("--only", default=LETTERS, show_default=True, help="Letters of the benchmarks to run.")
@click.option(
    "--docs", type=click.Path(path_type=Path), default=PROJECT / "docs", help="Folder of the page and its plot."
)
def main(rounds: int, instances: int, only: str, docs: Path) -> None:
    """Measure how fast, small and cheap the function is, and write docs/benchmarks.md with its plot.

    The package is built first, in build/benchmarks. The page is written only when all benchmarks have run.
    """
    try:
        log("building the package")
        environment = prepare(PROJECT / "build" / "benchmarks")
    except UnavailableError as error:
        raise click.ClickException(f"nothing can be measured: {error}") from None
    results: list[Result] = []
    if "a" in only:
        results += cold_start.measure(environment, rounds, log)
    if set(only) & set("bcd"):
        results += throughput.measure(environment, rounds, log)
    if "e" in only:
        results += simulated_clock.shards(instances, log)
    if "f" in only:
        results += simulated_clock.follow(log)
    if "g" in only:
        results.append(size(environment))
    results += reading.measure(environment, rounds, only, log)
    for each in results:
        target = f"target {each.target:.2f}: {each.verdict.strip('*')}" if each.target else ""
        click.echo(f"{each.letter}  {each.what}\n   {each.value}  ({each.reference})  {each.rounded}  {target}")
    if set(only) >= set(LETTERS):
        (docs / "benchmarks.md").write_text(report.markdown(results, rounds), encoding="utf-8")
        (docs / report.PLOT).write_text(report.plot(results), encoding="utf-8")
        click.echo(f"written: {docs / 'benchmarks.md'}")


def size(environment: Environment) -> Result:
    """Measure the size of the package (g)."""
    ours, plain = (
        path.with_name(f"{path.name}.zip").stat().st_size for path in (environment.package, environment.plain)
    )
    value, reference = f"{ours / 1e6:.2f} MB", f"the limit, 12 MB; as pip installs it {plain / 1e6:.2f} MB"
    return Result("g", "package, zipped", value, reference, ours / 12e6, 1.0)


def log(text: str) -> None:
    """Write a line of progress to standard error."""
    click.echo(f"… {text}", err=True)


if __name__ == "__main__":
    main(prog_name="python -m benchmarks")
