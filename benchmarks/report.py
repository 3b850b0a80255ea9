"""Writes docs/benchmarks.md and its plot."""

from __future__ import annotations

import os
import platform
import textwrap
from collections.abc import Sequence
from html import escape

from benchmarks.result import Result

PLOT = "benchmarks.svg"
WIDTH, ROW, LEFT, SCALE = 900, 26, 470, 170  # pixels; SCALE is a share of 1
HEAD = """# Benchmarks

Written by `make bench`. Times are those of the machine that it ran on; shares can be compared with those of other
machines. A share is the value divided by its reference. Both are measured in the same run, and the median of several
rounds is taken.

![The shares and their targets](benchmarks.svg)

"""
NOTES = """
What is measured, and how:

- **a** The time from the start of the process to the arrival of the first signed CreateBackup, over TLS with the usual
  bundle of certificates. The reference is one CreateBackup as in the SDK's own samples (default credential chain,
  client, request), with the SDK as pip installs it, with `.pyc` files. The function does more before CreateBackup: it
  reads the event, asks what the instance is, and lists running and finished backups. A cgroup limits the core.
- **b** The time of the handler, when its modules are loaded. The cloud is another process. The ideal is
  calls * latency / concurrency. A part of the difference is fixed: 1,000 instances are 31¼ rounds of 32, and the very
  first call is made alone. The rest is the SDK's computing time, since Python runs one thread at a time, and the time
  in which the simulator makes its answers.
- **c**, **e** Two lists and CreateBackup for each instance, and DescribeInstances for 30 instances at a time.
- **d** The largest resident memory of the process, with the interpreter.
- **e**, **f** By a simulated clock, without the cold starts of follow-ups. Add **a** for each that is not warm.
- **g** The zip file. As a comparison, the zip of the SDK as pip installs it, with `.pyc` files.
- **h** The CPU time of the process, with the start of the interpreter. A request without `verify` imports neither the
  SDK of OSS nor the library for checksums, or the benchmark fails.
- **i** A file that the simulator makes while it is read. The reference is `requests`, which reads it by one connection,
  in pieces of 1 MiB. With `full`, from the first request for the file to the receipt. 1.25 times the time is 0.8 of
  the throughput, and 0.5 of the time is twice the throughput. Without a pace, the CPU is what limits: `full` needs more
  of it, for the checksum and for a request for each part.
- **j** As **i**, from the first request for the file to the receipt. The pace is low because the simulator calculates
  two checksums of each part of the copy and keeps it in memory, for which it needs some 2 s of CPU time for 1 GB; the
  function needs 0.8 s.
- **k** The bytes that the simulator sent of a file of 6 GB, at 12.5 MB/s a connection. Each invocation is a process,
  and is followed by the next as on Function Compute.
- **l** As **d**; the interpreter and the SDKs have some 40 MB of it.
- **m** On a simulated clock, for 100 instances with one file each: two lists, the receipt, and for `copy` a HEAD of
  each copy.
"""


def markdown(results: Sequence[Result], rounds: int) -> str:
    """Return the page as Markdown."""
    rows = "".join(
        f"| {each.letter} | {each.what} | {each.value} | {each.reference} | {each.rounded} | "
        f"{f'≤ {each.target:.2f}' if each.target else ''} | {each.verdict} |\n"
        for each in results
    )
    missed = [f"{each.what} ({each.rounded}, not {each.target:.2f})" for each in results if "missed" in each.verdict]
    summary = f"Missed: {'; '.join(missed)}." if missed else "No target was missed."
    table = f"| | what | value | reference | share | target | |\n| --- | --- | --- | --- | --- | --- | --- |\n{rows}"
    where = f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}, {rounds} rounds"
    return f"{HEAD}{table}\n{textwrap.fill(f'{summary} Measured on {where}.', 118)}\n{NOTES}"


def plot(results: Sequence[Result]) -> str:
    """Return the plot as SVG: a bar for each share, and a line for its target."""
    height = ROW * len(results) + 60
    size = f'width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{height}" rx="6" fill="#ffffff"/>',
        '<text x="12" y="22" font-weight="bold">Share of the reference; the line is the target</text>',
    ]
    for number, each in enumerate(results):
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
