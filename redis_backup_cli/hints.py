"""Find what the errors of many instances share, so that each hint is shown once; make text safe to show."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from redis_backup.request.instances import InstanceRef
from redis_backup.states import Outcome, Problem

_ESCAPE_SEQUENCE = re.compile(r"\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?|(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]?|\x1b[ -/]*[0-~]?")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z")


@dataclass(frozen=True)
class SharedHint:
    """A hint and the instances that it is for, in their order.

    `hint` is empty for an error without one; such errors are together where code and message are the same. Where there
    is more than one instance, texts have "INSTANCE" instead of an instance's own ID, and "TIME" instead of a time.
    `errors`: code and message of each different error.
    """

    hint: str
    instances: tuple[InstanceRef, ...]
    errors: tuple[tuple[str, str], ...]

    @property
    def codes(self) -> str:
        """Return the codes of its errors: `"Forbidden.RAM"`, `"BackupJobFailed, BackupVanished"`."""
        return ", ".join(dict.fromkeys(code for code, _ in self.errors))


def shared_hints(outcomes: Iterable[tuple[InstanceRef, Outcome]]) -> list[SharedHint]:
    """Return the hints of all errors, each once, in the order in which they occur."""
    grouped: dict[tuple[str, str], dict[InstanceRef, Problem]] = {}
    for instance, outcome in outcomes:
        if outcome.error:
            hint = general(outcome.error.hint or "", instance)
            error = "" if hint else f"{outcome.error.code}: {general(outcome.error.message, instance)}"
            grouped.setdefault((hint, error), {})[instance] = outcome.error
    return [_shared_hint(problems) for problems in grouped.values()]


def _shared_hint(problems: dict[InstanceRef, Problem]) -> SharedHint:
    def text(words: str | None, instance: InstanceRef) -> str:
        return general(words or "", instance) if len(problems) > 1 else words or ""

    hints = (text(problem.hint, instance) for instance, problem in problems.items())
    errors = ((problem.code, text(problem.message, instance)) for instance, problem in problems.items())
    return SharedHint(next(hints), tuple(problems), tuple(dict.fromkeys(errors)))


def general(text: str, instance: InstanceRef) -> str:
    """Return what a text says of any instance at any time.

    `"acs:…:instance/r-1"` → `"acs:…:instance/INSTANCE"`; `"until 2026-11-24T02:00:00Z"` → `"until TIME"`.
    """
    return _TIME.sub("TIME", text.replace(instance.instance_id, "INSTANCE"))


def first_few(names: Sequence[str], shown: int) -> str:
    """Return at most so many names: `"r-1, r-2 and 48 more"`."""
    more = f" and {len(names) - shown} more" if len(names) > shown else ""
    return ", ".join(names[:shown]) + more


def printable(text: str, encoding: str = "utf-8") -> str:
    """Return a text in one line that any terminal can show.

    Escape sequences and control characters are left out, and `?` stands for what the encoding does not have:
    `"a\\x1b[31mb\\r\\nc"` → `"ab c"`.
    """
    if text.isascii() and text.isprintable():
        return text
    visible = "".join(" " if each.isspace() else each for each in _ESCAPE_SEQUENCE.sub("", text) if _is_visible(each))
    return " ".join(visible.split()).encode(encoding, "replace").decode(encoding)


def _is_visible(character: str) -> bool:
    return character.isspace() or unicodedata.category(character) not in ("Cc", "Cf")
