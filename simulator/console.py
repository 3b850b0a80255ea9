"""Show logs and results to people: a line for each log, a table of where each instance ended up, and each hint once.

No line is longer than the console is wide: a row ends in `…` instead. `logs --json` has the records as they are.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from simulator.fc.state import Invocation
    from simulator.logstore import Log

WIDTH = 100  # columns, where there is no terminal to tell
COLOURS = {
    "started": "cyan",
    "adopted": "cyan",
    "running": "cyan",
    "planned": "blue",
    "pending": "yellow",
    "warning": "yellow",
    "succeeded": "green",
    "failed": "bold red",
    "refused": "bold red",
    "invocation": "magenta",
    "report": "bold",
    "finished": "bold",
}
STATES = ("failed", "pending", "running", "planned", "succeeded")  # what a person has to see first
_PREFIXES = ("backup_", "request_", "event_")
_NOISE = ("FC Invoke Start", "FC Invoke End")
_MANY = 10  # instances that a hint names


def console(*, picture: bool = False) -> Console:
    """Return standard output as it is now: plain text unless it is a terminal, and in CI or with NO_COLOR.

    `picture`: keep what is printed, in colours, for `export_svg`.
    """
    if picture:
        return Console(
            file=sys.stdout, record=True, highlight=False, width=WIDTH, force_terminal=True, color_system="truecolor"
        )
    is_plain = bool(os.environ.get("NO_COLOR") or os.environ.get("CI"))  # rich alone would leave bold and dim
    width = None if sys.stdout.isatty() or os.environ.get("COLUMNS") else WIDTH
    return Console(file=sys.stdout, highlight=False, width=width, color_system=None if is_plain else "auto")


class Listing:
    """Prints logs as they come. The hints follow by `conclude`, or `at_once` where the list has no end.

    `verbose` shows every log, and not only records and what is alarming.
    """

    def __init__(self, out: Console, *, verbose: bool = False, at_once: bool = False) -> None:
        self._out, self._verbose, self._at_once = out, verbose, at_once
        self._hints: dict[str, str] = {}  # by what each is for: an instance's latest
        self._warnings: dict[tuple[str, str], None] = {}  # (what it is for, the hint): they stay
        self._texts: set[str] = set()  # that have been shown

    def log(self, log: Log) -> None:
        """Print a line for the log, unless only `verbose` shows it."""
        record = log.record
        if record is not None and "event" in record:
            self._record(record, _clock_text(log.time))
        elif self._verbose:
            self._out.print(Text(f"{_clock_text(log.time)} {log.message}", "dim", overflow="fold"))
        elif not log.message.startswith(_NOISE) and _is_alarming(log.message):
            self.line(Text(f"{_clock_text(log.time)} {log.message}", "dim"))

    def invocation(self, invocation: Invocation) -> None:
        """Print a line about an invocation that failed, and nothing for one that did not."""
        if not (error := invocation.error):
            return
        time = _clock_text(invocation.started + invocation.duration)
        message = str(error["errorMessage"]).partition("\n")[0].rstrip(":")
        if message in self._texts:
            detail = f" again, delivery {invocation.attempt + 1}" if invocation.attempt else ""
        else:
            detail = f": {message}" if message else ""
        self._texts.add(message)
        self.line(_row(time, "invocation", f"raised {error['errorType']}{detail}"))

    def line(self, text: Text) -> None:
        """Print one line, cut where it is too long."""
        text = Text(_one_line(text.plain), text.style, spans=text.spans)
        self._out.print(text, no_wrap=True, overflow="ellipsis", crop=True)

    def conclude(self) -> None:
        """Print each hint that still holds once, with the instances that it is for."""
        hints: dict[str, list[str]] = {}
        for about, hint in [*self._warnings, *self._hints.items()]:
            names = hints.setdefault(hint, [])
            names += [about] if about and about not in names else []
        if hints:
            self._out.print(Text("\nHints", "bold"))
        for hint, names in hints.items():
            self._hint(hint)
            more = f" and {len(names) - _MANY} more" if len(names) > _MANY else ""
            if names:
                self._folded(f"for {', '.join(names[:_MANY])}{more}", 2, "dim")

    def _record(self, record: Mapping[str, Any], time: str) -> None:
        word, message = _word(record), str(record.get("error_message") or "")
        row = _row(str(record.get("time", ""))[11:19] or time, word, *_subject_and_detail(record))
        hint = str(record.get("hint") or (message if row.cell_len > self._out.width else ""))
        about = _joined("/", record.get("region"), record.get("instance_id"))
        self.line(row)
        if word == "warning":
            self._warnings |= {(about, hint): None} if hint else {}
        elif hint:
            self._hints[about or str(record.get("name") or record.get("trigger_id", ""))] = hint
        elif about:
            self._hints.pop(about, None)
        if self._at_once and hint and hint not in self._texts:
            self._hint(hint)
        self._texts |= {message, hint}

    def _hint(self, hint: str) -> None:
        self._folded(f"→ {hint}", 0)

    def _folded(self, text: str, indent: int, style: str = "") -> None:
        """Print a text on as many lines as it takes, all but the first indented by two more."""
        lines = Text(_one_line(text)).wrap(self._out, self._out.width - indent - 2, overflow="fold")
        for number, line in enumerate(lines):
            self._out.print(Text(" " * (indent + 2 * bool(number)) + line.plain.rstrip(), style))


@dataclass
class LastState:
    """The last known state of an instance. `error`: code and message, where there is one."""

    instance: str
    region: str
    state: str
    job_ids: str = ""
    attempts: int = 0
    error: str = ""

    @property
    def is_good(self) -> bool:
        return self.state in ("succeeded", "planned")


def last_states(records: Iterable[dict[str, Any]]) -> list[LastState]:
    """Return each instance's last state by all records in order, what needs action first."""
    found: dict[tuple[str, str], LastState] = {}
    for record in records:
        instance = record.get("instance_id")
        if not str(record.get("event", "")).startswith("backup_") or not instance:
            continue
        key = (str(record.get("region", "")), str(instance))
        last = found.setdefault(key, LastState(key[1], key[0], ""))
        word = _word(record)
        last.state = "running" if word in ("started", "adopted") else word
        last.job_ids = str(record.get("job_ids", last.job_ids))
        last.attempts = int(record.get("attempts", last.attempts))
        last.error = _error_text(record)
    return sorted(found.values(), key=lambda last: STATES.index(last.state))


def show_last_states(out: Console, rows: list[LastState]) -> None:
    """Print one line for each instance, and one of totals."""
    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))
    for name in ("instance", "region", "state"):
        table.add_column(name, no_wrap=True)
    table.add_column("job IDs, error")  # gives way where the line is too long
    for row in rows:
        attempts = f"{row.attempts} attempts" if row.attempts > 1 else ""
        rest = Text(_joined("  ", row.job_ids, attempts, row.error), no_wrap=True, overflow="ellipsis")
        table.add_row(Text(row.instance), Text(row.region), Text(row.state, COLOURS.get(row.state, "")), rest)
    counts = {state: sum(row.state == state for row in rows) for state in STATES}
    out.print(table)
    out.print(Text(f"{_instances(len(rows))}: {_counts_text(counts)}", "bold"))


def _row(time: str, word: str, subject: str, detail: str = "") -> Text:
    """Return a line: when, what, of which instance or trigger, and more of it."""
    return Text(f"{time}  ").append(f"{word:<11}", COLOURS.get(word, "")).append(f"{subject:<19}  {detail}".rstrip())


def _word(record: Mapping[str, Any]) -> str:
    """Return a record's event without what all of its kind have: `backup_started` → `started`."""
    word = str(record["event"])
    for prefix in _PREFIXES:
        word = word.removeprefix(prefix)
    return word


def _subject_and_detail(record: Mapping[str, Any]) -> tuple[str, str]:
    """Return what a record is about, and what it says of that."""
    trigger, error = str(record.get("trigger", "")), _error_text(record)
    if record["event"] == "report":
        return trigger, _joined("  ", _counts_text(record), error)
    if record["event"] == "request_finished":
        counts = f"{_instances(record.get('instances', 0))}: {_counts_text(record)}"
        return trigger, _joined("  ", f"{counts} in {record.get('duration_seconds', 0)} s", error)
    if record["event"] == "check":
        mark = "✓" if record.get("ok") else "✗" if "ok" in record else "!"
        return f"{mark} {record.get('name', '')}", str(record.get("detail", ""))
    job_ids = str(record.get("job_ids", ""))
    values = (
        f"job{'s' * (',' in job_ids)} {job_ids}" if job_ids else "",
        f"{record['progress']} %" if "progress" in record else "",
        f"{record['duration_seconds']} s" if "duration_seconds" in record else "",
        f"{record['backup_size'] / 2**20:.1f} MiB" if "backup_size" in record else "",
    )
    return str(record.get("instance_id") or trigger), _joined("  ", *values, error)


def _error_text(record: Mapping[str, Any]) -> str:
    code, message = record.get("error_code"), record.get("error_message")
    return _joined(": ", code, message if message != code else "")


def _counts_text(counts: Mapping[str, Any]) -> str:
    return ", ".join(f"{counts[state]} {state}" for state in STATES if counts.get(state))


def _instances(count: int) -> str:
    return f"{count} instance{'s' * (count != 1)}"


def _joined(separator: str, *parts: object) -> str:
    return separator.join(str(part) for part in parts if part)


def _one_line(text: str) -> str:
    """Return a string of the same length, with nothing in it that ends a line or controls a terminal."""
    return "".join(char if char.isprintable() else " " for char in text)


def _is_alarming(message: str) -> bool:
    return any(word in message for word in ("[WARNING]", "[ERROR]", "[CRITICAL]"))


def _clock_text(moment: float) -> str:
    return datetime.fromtimestamp(moment, timezone.utc).strftime("%H:%M:%S")
