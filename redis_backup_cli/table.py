"""Progress on a terminal: a table that is drawn anew as it changes."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TextIO

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.text import Text

from redis_backup.errors import truncate
from redis_backup.request.instances import InstanceRef
from redis_backup.states import Outcome, Problem, State

from .clocks import WrongClockError
from .hints import SharedHint, general, shared_hints
from .page import Page
from .progress import BY_URGENCY, error_text, state_text, totals
from .report import MergedReport

_STYLES = {
    State.FAILED: "bold red",
    State.PENDING: "yellow",
    State.RUNNING: "cyan",
    State.VERIFYING: "cyan",
    State.PLANNED: "magenta",
    State.SUCCEEDED: "green",
}
_MIN_NOTE = 12  # cells; where notes would have less, columns are left out
_MIN_ROWS = 3
_MESSAGES_PER_HINT = 5
_MIN_INSTANCE = 8
_SHORT_WORD = 5  # letters
_MAX_MESSAGE = 1000  # bytes
Row = tuple[InstanceRef, Outcome]


class LiveTable:
    """Draws on `stream`, a terminal. `heading` and `elapsed` are asked at each drawing."""

    def __init__(
        self, report: MergedReport, stream: TextIO, heading: Callable[[], str], elapsed: Callable[[], str]
    ) -> None:
        self._report, self._heading, self._elapsed = report, heading, elapsed
        self._note, self._is_final = "", False
        # Without a colour system, rich writes neither colours nor bold.
        console = Console(file=stream, color_system=None) if os.environ.get("NO_COLOR") else Console(file=stream)
        self._live = Live(console=console, get_renderable=self._picture, refresh_per_second=2, vertical_overflow="crop")

    def __enter__(self) -> LiveTable:
        self._live.start(refresh=True)
        return self

    def __exit__(self, error: object = None, *_: object) -> None:
        """Draw it for the last time; remove it if the request is sent again with another time."""
        self._is_final = True
        self._live.transient = error is WrongClockError
        self._live.stop()

    def show(self) -> None:
        """Draw it now, and not at the next tick."""
        self._live.refresh()

    def note(self, text: str) -> None:
        """Show a text below the table until another comes."""
        self._note = text

    def _picture(self) -> Picture:
        outcomes = self._report.outcomes
        last_line = totals(outcomes.values(), self._elapsed())
        return Picture(outcomes, self._heading(), last_line, self._note, is_final=self._is_final)


@dataclass(frozen=True)
class Picture:
    """The content of a terminal at one moment: a heading, a line per instance, hints, a note, totals.

    While the command runs, all of it fits the screen, what needs action first. The final one has a line for each
    instance that failed, and every hint.
    """

    outcomes: Mapping[InstanceRef, Outcome]
    heading: str
    totals: str
    note: str = ""
    is_final: bool = False

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the lines, none wider than the console."""
        yield from self._lines(Page(console, options))

    def _lines(self, page: Page) -> list[Text]:
        head = page.wrapped(self.heading)
        tail = [*page.wrapped(self.note, style="dim"), *page.wrapped(self.totals, style="bold")]
        rows, hints = by_urgency(self.outcomes)
        has_hints = any(outcome.error or outcome.note for _, outcome in rows)
        free = page.height - len(head) - len(tail) - 2  # without the table's header and the cursor's line
        room = max(_MIN_ROWS, free - free // 3 if has_hints and not self.is_final else free)
        if len(rows) > room:
            failed = sum(outcome.state is State.FAILED for _, outcome in rows)
            room = max(room - 1, failed if self.is_final else 0)
        table = _Table(page, rows[:room], has_regions=len({instance.region for instance in self.outcomes}) > 1)
        lines = table.lines() if rows else []
        if len(rows) > room:
            lines.append(Text(f"and {len(rows) - room} more", "dim"))
        blocks = [table.block(hint) for hint in hints] + [table.note_block(*note) for note in _notes(rows).items()]
        if self.is_final:
            blocks.append(table.copies_block())
        limit = None if self.is_final else page.height - 1 - len(head) - len(tail) - len(lines)
        return [*head, *lines, *_below(blocks, limit), *tail]


def by_urgency(outcomes: Mapping[InstanceRef, Outcome]) -> tuple[list[Row], list[SharedHint]]:
    """Return rows and hints, what needs action first: failed, pending with an error, … Equal errors are together."""

    def urgency(row: Row) -> tuple[int, bool]:
        return BY_URGENCY.index(row[1].state), row[1].error is None

    rows = sorted(outcomes.items(), key=urgency)
    hints = shared_hints(rows)
    place = {instance: number for number, hint in enumerate(hints) for instance in hint.instances}
    return sorted(rows, key=lambda row: (*urgency(row), place.get(row[0], 0))), hints


class _Table:
    """The rows that fit, a line each, and the blocks of hints below them."""

    def __init__(self, page: Page, rows: list[Row], *, has_regions: bool) -> None:
        self._page, self._rows, self._has_regions = page, rows, has_regions
        self._shown: dict[tuple[str, str], str] = {}  # how much of an error a row shows, by code and message

    def lines(self) -> list[Text]:
        """Return the header and the rows. Columns that are empty, or for which there is no room, are left out."""
        notes = self._notes()
        columns = self._columns(min(_MIN_NOTE, max(map(cell_len, notes))))
        room = self._page.width - self._page.table_width(columns)
        notes = [self._page.cut(note, room) for note in notes]
        for (instance, outcome), note in zip(self._rows, notes, strict=True):
            if outcome.error:
                self._shown.setdefault(_error(instance, outcome.error), general(note, instance))
        if any(notes):
            columns["Note"] = notes
        return self._page.table(columns, [{"State": _STYLES[outcome.state]} for _, outcome in self._rows])

    def block(self, shared: SharedHint) -> list[Text]:
        """Return the lines below the table for a hint: codes and instances, messages that no row shows, the hint."""
        not_shown = [
            message.rstrip(".") for code, message in shared.errors if not self._is_shown(code, message, shared)
        ]
        texts = [truncate(text, _MAX_MESSAGE) for text in not_shown[:_MESSAGES_PER_HINT]]
        if len(not_shown) > len(texts):
            texts.append(f"and {len(not_shown) - len(texts)} more messages")
        if shared.hint:
            texts.append(f"Hint: {shared.hint}")
        return self._block(shared.codes, shared.instances, texts)

    def note_block(self, note: str, instances: Sequence[InstanceRef]) -> list[Text]:
        """Return the lines below the table for a note of instances that have no error."""
        return self._block("Note", instances, [note])

    def copies_block(self) -> list[Text]:
        """Return the lines below the table that say where the copies of the rows' backups are."""
        folders = {instance: outcome.copies for instance, outcome in self._rows if outcome.copies}
        return self._block("Copies", list(folders), list(folders.values()))

    def _block(self, title: str, instances: Sequence[InstanceRef], texts: Sequence[str]) -> list[Text]:
        if not texts:
            return []
        names = [instance.key if self._has_regions else instance.instance_id for instance in instances]
        heading = self._page.listed(title, names)
        return heading + [line for text in texts for line in self._page.wrapped(text, indent="  ")]

    def _is_shown(self, code: str, message: str, shared: SharedHint) -> bool:
        """Return whether a row or the hint shows the words of a message; of one with an ARN, its long words.

        `RAM does not allow kvstore:CreateBackup on acs:…` is shown by `grant kvstore:CreateBackup on acs:… to …`.
        """
        message, hint = (general(text, shared.instances[0]) for text in (message, shared.hint))
        shown = _words(self._shown.get((code, message), "")) | _words(self._page.printable(hint))
        words = _words(self._page.printable(message))
        if any(word.startswith("acs:") for word in words):
            words = {word for word in words if len(word) > _SHORT_WORD}
        return words <= shown

    def _notes(self) -> list[str]:
        """Return what the last column says of each row; the message of an error once, where it occurs first."""
        notes, seen = [], set()
        for instance, outcome in self._rows:
            if outcome.error:
                code, message = outcome.error.code, outcome.error.message
                error = _error(instance, outcome.error)
                text = error_text(code, message) if error not in seen else code
                seen.add(error)
            else:
                attempt = f"attempt {outcome.attempts}" if outcome.attempts > 1 else ""
                verified = f"verified: {outcome.verified}" if outcome.verified else ""
                text = ", ".join(each for each in (attempt, "adopted" if outcome.adopted else "", verified) if each)
            notes.append(self._page.printable(text))
        return notes

    def _columns(self, min_note: int) -> dict[str, list[str]]:
        """Return the cells of all columns but the notes, for which `min_note` cells are left where that is possible."""
        page, instances = self._page, [instance for instance, _ in self._rows]
        columns = {
            "Instance": [page.printable(instance.instance_id) for instance in instances],
            "Region": [page.printable(instance.region) if self._has_regions else "" for instance in instances],
            "State": [page.printable(state_text(outcome)) for _, outcome in self._rows],
            "Job IDs": [page.printable(_first_job_id(outcome)) for _, outcome in self._rows],
        }
        columns = {name: cells for name, cells in columns.items() if any(cells)}
        for name in ("Region", "Job IDs"):
            if page.table_width(columns) + min_note > page.width:
                columns.pop(name, None)
        excess = page.table_width(columns) + min_note - page.width
        width = max(map(cell_len, columns["Instance"])) - max(0, excess)
        columns["Instance"] = [page.cut(cell, max(_MIN_INSTANCE, width)) for cell in columns["Instance"]]
        return columns


def _first_job_id(outcome: Outcome) -> str:
    """Return the first of 32 as `"10001 +31"`."""
    first, others = outcome.job_ids[:1], outcome.job_ids[1:]
    return f"{first[0]} +{len(others)}" if others else "".join(first)


def _error(instance: InstanceRef, problem: Problem) -> tuple[str, str]:
    return problem.code, general(problem.message, instance)


def _words(text: str) -> set[str]:
    return {word.strip(".,;:…") for word in text.split()}


def _notes(rows: Iterable[Row]) -> dict[str, list[InstanceRef]]:
    """Return the instances that have each note and no error."""
    found: dict[str, list[InstanceRef]] = {}
    for instance, outcome in rows:
        if outcome.note and not outcome.error:
            found.setdefault(outcome.note, []).append(instance)
    return found


def _below(blocks: Sequence[list[Text]], limit: int | None) -> list[Text]:
    """Return the blocks, after an empty line; where they have no more than `limit` lines, as many as fit."""
    blocks = [block for block in blocks if block]
    if not blocks:
        return []
    lines, left_out = [Text()], 0
    for block in blocks:
        if left_out or (limit is not None and len(lines) + len(block) > limit - 1):
            left_out += 1
        else:
            lines += block
    if limit is not None and limit < 2:
        return []
    return lines + ([Text(f"and {left_out} more hints", "dim")] if left_out else [])
