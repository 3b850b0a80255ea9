"""Lines of text that fit a terminal: cut, wrapped, and in columns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from rich.cells import cell_len, set_cell_size
from rich.console import Console, ConsoleOptions
from rich.text import Text

from .hints import first_few, printable

_GAP = "  "


class Page:
    """A terminal of `width` cells (a Chinese character takes two) and `height` lines."""

    def __init__(self, console: Console, options: ConsoleOptions) -> None:
        self._console, self._encoding = console, options.encoding
        self.width, self.height = options.max_width, console.height
        self._ellipsis = "..." if options.ascii_only or options.legacy_windows else "…"

    def printable(self, text: str) -> str:
        """Return a text from elsewhere in a form that this terminal can show."""
        return printable(text, self._encoding)

    def cut(self, text: str, width: int) -> str:
        """Return a text of at most so many cells: `"Forbidden.RAM"`, 8 → `"Forbidd…"`."""
        if cell_len(text) <= width:
            return text
        kept = set_cell_size(text, max(0, width - len(self._ellipsis))).rstrip(" :")
        return (kept + self._ellipsis)[: max(0, width)]

    def wrapped(self, text: str, *, indent: str = "", style: str = "") -> list[Text]:
        """Return a text in as many lines as it needs; a word that is longer than a line is broken."""
        if not text:
            return []
        width = max(2, self.width - len(indent))
        lines = Text(self.printable(text), style).wrap(self._console, width, overflow="fold")
        return [self._line(Text(indent).append_text(line)) for line in lines]

    def listed(self, title: str, names: Sequence[str]) -> list[Text]:
        """Return a title and as many names as go into one line, at least one: `"Code: r-1, r-2 and 48 more"`."""
        for shown in range(min(len(names), self.width), 1, -1):
            line = self.printable(f"{title}: {first_few(names, shown)}")
            if cell_len(line) <= self.width:
                return [self._line(Text(line))]
        return self.wrapped(f"{title}: {first_few(names, 1)}")

    def table(self, columns: Mapping[str, Sequence[str]], styles: Sequence[Mapping[str, str]]) -> list[Text]:
        """Return a header and a line for each row. `styles` of each row, by column."""
        widths = [max(map(cell_len, (name, *cells))) for name, cells in columns.items()]
        lines = [self._row(columns, widths, ["bold"] * len(widths))]
        for cells, styled in zip(zip(*columns.values(), strict=True), styles, strict=True):
            lines.append(self._row(cells, widths, [styled.get(name, "") for name in columns]))
        return lines

    @staticmethod
    def table_width(columns: Mapping[str, Sequence[str]]) -> int:
        """Return the width of a table of these columns and the gap after it."""
        return sum(max(map(cell_len, (name, *cells))) + len(_GAP) for name, cells in columns.items())

    def _row(self, cells: Iterable[str], widths: Sequence[int], styles: Sequence[str]) -> Text:
        line = Text()
        for cell, width, style in zip(cells, widths, styles, strict=True):
            line.append(cell, style).append(" " * (width - cell_len(cell)) + _GAP)
        return self._line(line)

    @staticmethod
    def _line(line: Text) -> Text:
        line.rstrip()
        line.no_wrap, line.overflow = True, "crop"
        return line
