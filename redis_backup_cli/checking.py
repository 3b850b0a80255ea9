"""The results of a check: read from the function's answer, and shown as a table."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TextIO

from redis_backup.reporting.codec import read_check, write_check
from redis_backup.states import CheckResult

from .hints import printable

_MARKS = {True: ("✓", "green"), False: ("✗", "bold red"), None: ("!", "yellow")}
_WIDTH = 100  # columns, where there is no terminal to tell
_INDENT = "    "


@dataclass(frozen=True)
class CheckReport:
    """What the function found. `is_ok`: nothing is wrong that would lose a backup."""

    is_ok: bool
    results: tuple[CheckResult, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return it as the function's answer has it."""
        return {"ok": self.is_ok, "checks": [write_check(result) for result in self.results]}

    @property
    def summary(self) -> str:
        """Return the numbers and what to do: `"1 wrong, 1 to look at, 13 fine. …"`."""
        counts = Counter(result.ok for result in self.results)
        numbers = f"{counts[False]} wrong (✗), {counts[None]} to look at (!), {counts[True]} fine (✓)"
        if not self.is_ok:
            return f"{numbers}. Backups would fail: correct what is marked with ✗, then check again."
        return f"{numbers}. No backup was started." + (" Look at what is marked with !." if counts[None] else "")


def read_check_report(body: bytes) -> CheckReport:
    """Read the answer to a check. Raise ValueError if it is not JSON, LookupError if it is something else.

    `b'{"ok": true, "checks": [{"name": "memory", "ok": true, "detail": "512 MB"}]}'` →
    `CheckReport(True, (CheckResult("memory", True, "512 MB"),))`.
    """
    try:
        answer = json.loads(body)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    try:
        results = tuple(read_check(item) for item in answer["checks"])
        if not (results and isinstance(answer["ok"], bool)):
            raise TypeError("ok, or no results")
    except (TypeError, KeyError, AttributeError) as error:
        raise LookupError("not the answer to a check") from error
    return CheckReport(answer["ok"] and not any(result.ok is False for result in results), results)


def show_results(results: Sequence[CheckResult], stream: TextIO, *, in_colour: bool) -> None:
    """Print a row for each result: its mark, its name and what was found; below, what is longer, and what to do."""
    from rich.cells import cell_len
    from rich.console import Console
    from rich.text import Text

    width = None if stream.isatty() else _WIDTH
    console = Console(file=stream, highlight=False, width=width, color_system="auto" if in_colour else None)
    names = max((cell_len(printable(result.name)) for result in results), default=0)

    def below(text: str, style: str = "") -> None:
        for line in Text(text).wrap(console, console.width - len(_INDENT), overflow="fold"):
            console.print(Text(f"{_INDENT}{line.plain.rstrip()}", style))

    for result in results:
        mark, colour = _MARKS[result.ok]
        detail, name = printable(result.detail), printable(result.name)
        row = Text(f"{mark} ", colour).append(name, colour if result.ok is False else "")
        room = console.width - row.cell_len - cell_len(detail)
        padding = " " * min(names - cell_len(name) + 2, max(2, room))
        is_short = room >= 2
        console.print(row.append(f"{padding}{detail}", "none") if is_short else row, soft_wrap=True)
        if not is_short:
            below(detail)
        if result.hint:
            below(f"→ {printable(result.hint)}", "bold" if result.ok is False else "")
