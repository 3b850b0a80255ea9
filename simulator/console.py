"""How people see logs and results: one line a record, a table at the end."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from simulator.fc.state import Invocation
    from simulator.logstore import Log

PIPE_WIDTH = 160  # columns, where there is no terminal to tell
COLOURS = {
    "started": "cyan",
    "adopted": "cyan",
    "running": "cyan",
    "planned": "blue",
    "pending": "yellow",
    "warning": "yellow",
    "succeeded": "green",
    "failed": "bold red",
    "report": "bold",
}
STATES = ("planned", "pending", "running", "succeeded", "failed")
NOISE = ("FC Invoke Start", "FC Invoke End")


def console(*, picture: bool = False) -> Console:
    """Standard output as it is now; colours only on a terminal, and not where NO_COLOR is set.

    `picture`: keep what is printed, in colours, for `export_svg`.
    """
    if picture:
        return Console(record=True, highlight=False, width=168, force_terminal=True, color_system="truecolor")
    plain = bool(os.environ.get("NO_COLOR"))  # rich alone would leave bold and dim
    width = None if sys.stdout.isatty() else PIPE_WIDTH
    system = None if plain else "auto"
    return Console(file=sys.stdout, highlight=False, soft_wrap=True, width=width, color_system=system)


def line(log: Log, *, verbose: bool = False) -> Text | None:
    """One log as a line to read; None for what only `verbose` shows."""
    record = log.record
    if record is None or "event" not in record:
        if not verbose and (log.message.startswith(NOISE) or not _is_alarming(log.message)):
            return None
        return Text(f"{_clock_text(log.time)}  {log.message}", style="dim")
    event = str(record["event"])
    word = event.removeprefix("backup_").removeprefix("request_")
    text = Text(f"{str(record.get('time', ''))[11:19] or _clock_text(log.time)}  ")
    text.append(f"{word:<10}", style=COLOURS.get(word, ""))
    text.append(_report_text(record) if event == "report" else _instance_text(record))
    if hint := record.get("hint"):
        text.append(f"\n{'':20}→ {hint}", style="dim")
    return text


@dataclass
class Standing:
    """What is last known of an instance."""

    instance: str
    region: str
    state: str
    job_ids: str = ""
    attempts: str = ""
    note: str = ""

    @property
    def is_good(self) -> bool:
        return self.state in ("succeeded", "planned")


def standings(records: Iterable[dict[str, Any]]) -> list[Standing]:
    """Given all records in order, where each instance ended up."""
    found: dict[tuple[str, str], Standing] = {}
    for record in records:
        event, instance = str(record.get("event", "")), record.get("instance_id")
        if not event.startswith("backup_") or not instance:
            continue
        key = (str(record.get("region", "")), str(instance))
        standing = found.setdefault(key, Standing(key[1], key[0], ""))
        word = event.removeprefix("backup_").removeprefix("request_")
        standing.state = "running" if word in ("started", "adopted") else word
        standing.job_ids = str(record.get("job_ids", standing.job_ids))
        standing.attempts = str(record.get("attempts", standing.attempts))
        standing.note = str(record.get("hint") or record.get("error_message") or "")
        if code := record.get("error_code"):
            standing.note = f"{code}: {standing.note}" if standing.note else str(code)
    return list(found.values())


def table(rows: Iterable[Standing]) -> Table:
    """The report of a run."""
    result = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))
    for name in ("instance", "region", "state", "job IDs", "attempts", "note"):
        result.add_column(name, overflow="fold", no_wrap=name in ("instance", "state"))
    for row in rows:
        state = Text(row.state, style=COLOURS.get(row.state, ""))
        result.add_row(row.instance, row.region, state, row.job_ids, row.attempts, Text(row.note, style="dim"))
    return result


def failure(invocation: Invocation) -> Text | None:
    """A line about an invocation that failed; None for one that did not."""
    if not invocation.error:
        return None
    error = invocation.error
    first = str(error["errorMessage"]).splitlines()[0].rstrip(":") if error["errorMessage"] else ""
    text = Text(f"{_clock_text(invocation.started + invocation.duration)}  ")
    text.append(f"{'invocation':<12}", style="magenta")
    return text.append(f"{error['errorType']}: {first}" + (" (retry)" if invocation.attempt else ""))


def _report_text(record: dict[str, Any]) -> str:
    counts = [f"{record[state]} {state}" for state in STATES if record.get(state)]
    parts = [str(record.get("trigger", "")), ", ".join(counts), str(record.get("error_message", ""))]
    return "  ".join(part for part in parts if part)


def _instance_text(record: dict[str, Any]) -> str:
    parts = [str(record.get("instance_id", ""))]
    if record.get("event") == "request_finished":
        parts = [f"{record.get(name, 0)} {name}" for name in ("instances", "succeeded", "failed")]
    if job_ids := record.get("job_ids"):
        parts.append(f"job {job_ids}" if "," not in str(job_ids) else f"jobs {job_ids}")
    for name, unit in (("progress", "%"), ("duration_seconds", " s"), ("backup_size", " bytes")):
        if name in record:
            parts.append(f"{record[name]}{unit}")
    if error := record.get("error_code") or record.get("error_message"):
        message = record.get("error_message")
        parts.append(f"{error}: {message}" if message not in (None, error) else str(error))
    return "  ".join(part for part in parts if part)


def _is_alarming(message: str) -> bool:
    return any(word in message for word in ("[WARNING]", "[ERROR]", "[CRITICAL]"))


def _clock_text(moment: float) -> str:
    return datetime.fromtimestamp(moment, timezone.utc).strftime("%H:%M:%S")
