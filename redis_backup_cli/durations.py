"""Durations as people write them."""

from __future__ import annotations

import re
from typing import Any

import click

_UNITS = {"d": 86_400, "h": 3600, "m": 60, "s": 1}
_SHAPE = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?", re.ASCII)
_LONGEST = 3650 * _UNITS["d"]


class Duration(click.ParamType[int]):
    """An option's value such as 90s, 15m, 1h30m or 2d: whole seconds that are a multiple of `step`."""

    name = "duration"

    def __init__(self, step: int = 1) -> None:
        self._step = step

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return seconds: `"1h30m"` → 5400. Fail with what it accepts instead."""
        if isinstance(value, int):
            return value
        match = _SHAPE.fullmatch(value.strip())
        if not match or not value.strip():
            self.fail(f"{value!r} is not a duration; use 15m, 2h, 1h30m or 1d", param, ctx)
        seconds = sum(int(count) * unit for count, unit in zip(match.groups("0"), _UNITS.values(), strict=True))
        if seconds % self._step:
            self.fail(f"{value!r} is not a number of minutes; use 15m, 2h or 1d", param, ctx)
        if seconds > _LONGEST:
            self.fail(f"{value!r} is longer than ten years", param, ctx)
        return seconds


def format_duration(seconds: float) -> str:
    """Return a duration in words: 42.9 → `42 s`, 185 → `3 min 5 s`, 7260 → `2 h 1 min`."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
