"""Progress where there is no terminal: one line per change of an instance's state, for eyes and for grep."""

from __future__ import annotations

from collections.abc import Callable
from typing import TextIO

from redis_backup import timestamps
from redis_backup.request.instances import InstanceRef
from redis_backup.runtime import Clock
from redis_backup.states import Outcome, State

from .report import MergedReport


class LineProgress:
    """Writes to `stream`, each line at once."""

    def __init__(self, report: MergedReport, stream: TextIO, clock: Clock, heading: Callable[[], str]) -> None:
        self._report, self._stream, self._clock, self._heading = report, stream, clock, heading
        self._shown: dict[InstanceRef, object] = {}

    def __enter__(self) -> LineProgress:
        self._write(self._heading())
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is left to tidy up."""

    def show(self) -> None:
        """A line for each instance that is not as it was."""
        for instance, outcome in self._report.outcomes.items():
            news = (outcome.state, outcome.job_ids, outcome.error and outcome.error.code)
            if self._shown.get(instance) != news:
                self._shown[instance] = news
                self._write(f"{instance.key} {outcome.state.value}{_details(outcome)}")

    def note(self, text: str) -> None:
        """A line of its own."""
        self._write(text)

    def _write(self, text: str) -> None:
        moment = timestamps.from_epoch(int(self._clock.time()))
        self._stream.write(f"{timestamps.render(moment)} {text}\n")
        self._stream.flush()


def _details(outcome: Outcome) -> str:
    words = [f"job_ids={','.join(outcome.job_ids)}"] if outcome.job_ids else []
    if outcome.attempts:
        words.append(f"attempts={outcome.attempts}")
    if outcome.adopted and outcome.error:
        words.append("adopted")
    words.append(note(outcome, with_hint=outcome.state is State.FAILED))
    return "".join(f" {word}" for word in words if word)


def note(outcome: Outcome, *, with_hint: bool) -> str:
    """An instance's error in words, or what else there is to say of it."""
    if not outcome.error:
        return "; ".join(text for text in ("adopted" if outcome.adopted else "", outcome.note) if text)
    hint = f"; {outcome.error.hint}" if with_hint and outcome.error.hint else ""
    return f"{outcome.error.code}: {outcome.error.message.rstrip('.')}{hint}"
