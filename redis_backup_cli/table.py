"""Progress on a terminal: a table that is drawn anew as it changes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TextIO

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from redis_backup.states import Outcome, State

from .progress import note
from .report import MergedReport

# What a person has to see first; and its colour.
_STYLES = {
    State.FAILED: "bold red",
    State.RUNNING: "cyan",
    State.PENDING: "yellow",
    State.PLANNED: "magenta",
    State.SUCCEEDED: "green",
}
_ORDER = list(_STYLES)
_AROUND = 10  # lines of the screen that are not the table's rows


class LiveTable:
    """Draws on `stream`, a terminal. `heading` is asked at each drawing, since time goes on."""

    def __init__(self, report: MergedReport, stream: TextIO, heading: Callable[[], str]) -> None:
        self._report, self._heading = report, heading
        self._notes: list[str] = []
        self._console = Console(file=stream)
        self._live = Live(
            console=self._console, get_renderable=self._draw, refresh_per_second=4, vertical_overflow="crop"
        )

    def __enter__(self) -> LiveTable:
        self._live.start(refresh=True)
        return self

    def __exit__(self, *_: object) -> None:
        self._live.vertical_overflow = "visible"
        self._live.stop()

    def show(self) -> None:
        """Draw it now, and not at the next tick."""
        self._live.refresh()

    def note(self, text: str) -> None:
        """Shown below the table until another comes."""
        self._notes = [text]

    def _draw(self) -> RenderableType:
        rows = sorted(self._report.outcomes.items(), key=lambda row: _ORDER.index(row[1].state))
        room = max(5, self._console.height - _AROUND)
        if self._report.is_done:  # the last picture leaves out nothing that went wrong
            room = max(room, sum(outcome.state is State.FAILED for _, outcome in rows))
        table = Table(box=None, pad_edge=False, header_style="bold")
        for name in ("Instance", "Region", "State", "Job IDs", "Progress", "Attempts"):
            table.add_column(name, no_wrap=name in ("Instance", "Region", "State"))
        table.add_column("Note", overflow="fold")
        for instance, outcome in rows[:room]:
            table.add_row(
                Text(instance.instance_id),  # as they are: a plain string would be read as markup
                Text(instance.region),
                Text(outcome.state.value, _STYLES[outcome.state]),
                Text(" ".join(outcome.job_ids)),
                _progress(outcome),
                str(outcome.attempts or ""),
                Text(note(outcome, with_hint=outcome.state is State.FAILED)),
            )
        below = [f"and {len(rows) - room} more"] if len(rows) > room else []
        return Group(Text(self._heading()), table, *(Text(text, "dim") for text in (*below, *self._notes)))


def _progress(outcome: Outcome) -> RenderableType:
    percent = 100 if outcome.state is State.SUCCEEDED else outcome.progress
    if percent is None or outcome.state is State.FAILED:
        return ""
    bar = Table.grid(padding=(0, 1))
    bar.add_row(ProgressBar(total=100, completed=percent, width=10, complete_style="cyan"), f"{percent} %")
    return bar
