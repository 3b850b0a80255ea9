"""docs/benchmarks.md and its plot."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from html import escape

from benchmarks.measure import Measure

PLOT = "benchmarks.svg"
WIDTH, ROW, LEFT, SCALE = 900, 26, 470, 260  # pixels; SCALE is a share of 1
HEAD = """# Benchmarks

Written by `make bench`, which measures on the machine that it runs on: only the shares mean something elsewhere. Each
is the value divided by its reference, both taken in the same run; of several rounds the median counts.

![The shares and their targets](benchmarks.svg)

"""
NOTES = """
What is measured, and how:

- **a** From the start of the process to the arrival of the first signed CreateBackup, over TLS with the usual bundle of
  certificates. The reference is one CreateBackup as the SDK's own samples write it (default credential chain, client,
  request), with the SDK as pip installs it, compiled. The function does more until then: it reads the event, learns
  what the instance is, and looks for running and finished backups. A part of a core is had by a cgroup.
- **b** The handler's time, the process and its modules warm; the cloud is another process. The ideal is
  calls * latency / concurrency. Of what is above it, a part is fixed: 1,000 instances are 31¼ rounds of 32, and the
  first call of all goes alone. The rest is what the SDK computes for a call while others wait for the interpreter's
  lock, and the simulator's own work for its answers.
- **c**, **e** Two looks and CreateBackup for each instance, and DescribeInstances for 30 at a time.
- **d** The most that the process had resident, the interpreter included.
- **e**, **f** By a simulated clock. A follow-up's cold start is not in it: add **a** where instances are not kept warm.
- **g** The zip, against the SDK as pip installs it, compiled and zipped likewise.
"""


def markdown(measures: Sequence[Measure], rounds: int) -> str:
    """The page."""
    rows = "".join(
        f"| {each.letter} | {each.what} | {each.value} | {each.reference} | {each.rounded} | "
        f"{f'≤ {each.target:.2f}' if each.target else ''} | {each.verdict} |\n"
        for each in measures
    )
    missed = [f"{each.what} ({each.rounded}, not {each.target:.2f})" for each in measures if "missed" in each.verdict]
    told = f"Missed: {'; '.join(missed)}." if missed else "No target was missed."
    table = f"| | what | value | reference | share | target | |\n| --- | --- | --- | --- | --- | --- | --- |\n{rows}"
    where = f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}, {rounds} rounds"
    return f"{HEAD}{table}\n{told} Measured on {where}.\n{NOTES}"


def plot(measures: Sequence[Measure]) -> str:
    """A bar for each share; a line where its target is."""
    height = ROW * len(measures) + 60
    size = f'width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{height}" rx="6" fill="#ffffff"/>',
        '<text x="12" y="22" font-weight="bold">Share of the reference; the line is the target</text>',
    ]
    for number, each in enumerate(measures):
        y = 40 + ROW * number
        good = each.target is None or each.share <= each.target
        colour = "#9aa5b1" if each.target is None else "#2f855a" if good else "#c05621"
        length = min(each.share * SCALE, WIDTH - LEFT - 60)
        label = each.what if len(each.what) <= 72 else f"{each.what[:70]}…"
        parts.append(
            f'<text x="12" y="{y + 13}"><tspan font-weight="bold">{each.letter}</tspan> {escape(label)}</text>'
        )
        parts.append(f'<rect x="{LEFT}" y="{y}" width="{length:.1f}" height="{ROW - 9}" fill="{colour}"/>')
        end = LEFT + max(length, (each.target or 0) * SCALE) + 8  # right of the target's line, too
        parts.append(f'<text x="{end:.1f}" y="{y + 13}">{each.rounded}</text>')
        if each.target:
            x = LEFT + each.target * SCALE
            parts.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{y - 4}" y2="{y + ROW - 5}" stroke="#1a202c"/>')
    x = LEFT + SCALE
    parts.append(
        f'<line x1="{x}" x2="{x}" y1="34" y2="{height - 18}" stroke="#a0aec0" stroke-dasharray="3 3"/>'
        f'<text x="{x}" y="{height - 5}" text-anchor="middle" fill="#4a5568">the reference</text></svg>\n'
    )
    return "\n".join(parts)
