"""When nothing can be hidden: the clear moments of an instance, and why CreateBackup is sent only soon after one.

What another delivery of the event started can be where no look shows it: between the end of its task and its entry in
the list. CreateBackup has no token, so a second one would start a second backup. Two kinds of moments are clear:

- A look of a *prompt* invocation: one that began within 12 s of the event, until W after it.
- The end of a *watch*: looks at most 12 s apart, over 62 s or more and not before W, which show nothing that satisfies.

                   event        W = 60 s and more               W + 12 s
    prompt           |--looks, starts--------------------------|--|
    a repeat                  |--look--look-- … --look--look--|  start at its end, not before W
                                       62 s or more

Proof for the watch: a backup that began before its last look was running at one of its looks (they are at most 12 s
apart, and no backup is shorter than 15 s), or had ended before its first one and is listed by its last (62 s later;
lists lag by 60 s at most). One that begins after its last look still runs when CreateBackup arrives (12 s later at
most), and R-KVStore refuses a second. What prompt invocations start begins before W + 12 s, so that a watch sees it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from redis_backup.request.request import Request

PROMPT_WITHIN = timedelta(seconds=12)  # after the event: how late a prompt invocation may begin
SEND_WITHIN = timedelta(seconds=12)  # after a clear moment: how late CreateBackup may be sent
LOOK_EVERY = timedelta(seconds=8)
LOOK_WITHIN = timedelta(seconds=12)  # a longer gap begins a watch anew; from the shortest backup
SHORTEST_BACKUP = timedelta(seconds=15)  # so that two of one instance begin further apart
WATCH_LENGTH = timedelta(seconds=63)  # from the lists' lag, 60 s; 62 are needed, and a call takes its time to arrive
TIME_FOR_WATCH = 71.0  # seconds that a watch needs, with its last look and CreateBackup
MIN_TIMEOUT = 120.0  # seconds; a function with less has no room for a watch
WAIT_AFTER_UNKNOWN = timedelta(seconds=75)  # what such a function waits after a CreateBackup of unknown outcome
STARVED_AFTER = timedelta(minutes=15)  # after the first invocation: how long an instance may go without a watch


def window_end(request: Request) -> datetime:
    """W after the event: until then prompt invocations start backups, and no watch ends."""
    return request.since + timedelta(seconds=min(600.0, 60 + 0.5 * request.total))


def is_prompt(request: Request, began: datetime) -> bool:
    """Whether an invocation that began then is prompt: soon after the event, or a shard soon after it was sent."""
    sent = request.follow_up.sent_at if request.follow_up else request.since
    return sent is not None and began - sent <= PROMPT_WITHIN


@dataclass
class Watch:
    """The looks at one instance in this invocation that have shown nothing that satisfies."""

    first_look: datetime | None = None
    last_look: datetime | None = None

    def note_look(self, moment: datetime) -> None:
        """A look whose first call was sent at that moment has shown nothing that satisfies."""
        if self.first_look is None or self.last_look is None or moment - self.last_look > LOOK_WITHIN:
            self.first_look = moment
        self.last_look = moment

    def end(self, request: Request) -> datetime | None:
        """When it will be whole at the earliest; None where it has not begun."""
        return max(self.first_look + WATCH_LENGTH, window_end(request)) if self.first_look else None

    def is_complete(self, request: Request) -> bool:
        """Whether its last look was a clear moment."""
        end = self.end(request)
        return end is not None and self.last_look is not None and self.last_look >= end

    def next_look(self, request: Request) -> datetime:
        """When to look next: in 8 s, or at its end where that is sooner."""
        end = self.end(request)
        if end is None or self.last_look is None:
            raise ValueError("the watch has not begun")
        next_look = self.last_look + LOOK_EVERY
        return min(next_look, end) if end > self.last_look else next_look

    def reset(self) -> None:
        """Nothing is clear any more."""
        self.first_look = self.last_look = None
