"""Progress where there is no terminal: one line per change of an instance's state, for people and for grep."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import TextIO

from redis_backup import timestamps
from redis_backup.request.instances import InstanceRef
from redis_backup.runtime import Clock
from redis_backup.states import Outcome, State

from .hints import first_few, printable, shared_hints
from .report import MergedReport

_NAMED = 5  # instances that a hint names
# States in the order in which a person has to see them.
BY_URGENCY = (State.FAILED, State.PENDING, State.RUNNING, State.VERIFYING, State.PLANNED, State.SUCCEEDED)
_PERCENT_PER_LINE = 10  # of what is read
_NOT_CI = ("", "0", "false")


class LineProgress:
    """Writes to `stream`, each line at once."""

    def __init__(
        self,
        report: MergedReport,
        stream: TextIO,
        clock: Clock,
        heading: Callable[[], str],
        elapsed: Callable[[], str],
    ) -> None:
        self._report, self._stream, self._clock = report, stream, clock
        self._heading, self._elapsed = heading, elapsed
        self._shown: dict[InstanceRef, object] = {}

    def __enter__(self) -> LineProgress:
        self._write(self._heading())
        return self

    def __exit__(self, error: object = None, *_: object) -> None:
        """Write each hint once, and the totals where the command was not stopped."""
        for shared in shared_hints(self._report.outcomes.items()):
            if shared.hint:
                names = first_few([instance.key for instance in shared.instances], _NAMED)
                self._write(f"hint for {shared.codes} ({names}): {shared.hint}")
        if not error:
            self._write(totals(self._report.outcomes.values(), self._elapsed()))

    def show(self) -> None:
        """Write a line for each instance that has changed; of one that is read, at each tenth of its files."""
        for instance, outcome in self._report.outcomes.items():
            step = (outcome.progress or 0) // _PERCENT_PER_LINE if outcome.state is State.VERIFYING else 0
            news = (outcome.state, outcome.job_ids, outcome.error and outcome.error.code, step)
            if self._shown.get(instance) != news:
                self._shown[instance] = news
                self._write(f"{instance.key} {_state(outcome)}{_details(outcome)}")

    def note(self, text: str) -> None:
        """Write a line about what concerns no single instance."""
        self._write(text)

    def _write(self, text: str) -> None:
        moment = timestamps.from_epoch(int(self._clock.time()))
        text = printable(text, self._stream.encoding or "utf-8")
        self._stream.write(f"{timestamps.render(moment)} {text}\n")
        self._stream.flush()


def can_redraw(stream: TextIO, environ: Mapping[str, str]) -> bool:
    """Return whether what is on `stream` can be drawn anew: it is a terminal, neither a dumb one nor a CI system's."""
    is_ci = environ.get("CI", "").lower() not in _NOT_CI
    return stream.isatty() and (environ.get("TERM") or "dumb") != "dumb" and not is_ci


def totals(outcomes: Iterable[Outcome], elapsed: str) -> str:
    """Return how many instances are in each state: `"3 instances after 42 s: 1 failed, 2 succeeded"`."""
    counts = Counter(outcome.state for outcome in outcomes)
    total = counts.total()
    states = ", ".join(f"{counts[state]} {state.value}" for state in BY_URGENCY if counts[state])
    return f"{total} instance{'' if total == 1 else 's'} after {elapsed}: {states or 'none is known yet'}"


def _state(outcome: Outcome) -> str:
    """Return the state, with how much is read: `"verifying 43%"`. (The progress of a backup is not worth a line.)"""
    return state_text(outcome) if outcome.state is State.VERIFYING else outcome.state.value


def state_text(outcome: Outcome) -> str:
    """Return the state, and the progress of what goes on: `"running 45%"`, `"verifying 43%"`."""
    is_going_on = outcome.state in (State.RUNNING, State.VERIFYING)
    percent = outcome.progress if is_going_on else None
    return outcome.state.value if percent is None else f"{outcome.state.value} {percent}%"


def _details(outcome: Outcome) -> str:
    words = [f"job_ids={','.join(outcome.job_ids)}"] if outcome.job_ids else []
    if outcome.attempts:
        words.append(f"attempts={outcome.attempts}")
    words += [f"{name}={value}" for name in ("verified", "copies") if (value := getattr(outcome, name))]
    if outcome.adopted and outcome.error:
        words.append("adopted")
    if outcome.error:
        words.append(error_text(outcome.error.code, outcome.error.message))
    else:
        words.append("; ".join(text for text in ("adopted" if outcome.adopted else "", outcome.note) if text))
    return "".join(f" {word}" for word in words if word)


def error_text(code: str, message: str) -> str:
    """Return an error in a line: `"BackupJobFailed: 2 of at most 2 backups of this request failed"`."""
    return f"{code}: {message.rstrip('.')}"
