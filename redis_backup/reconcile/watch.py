"""Find the clear moments of an instance. CreateBackup is sent only soon after one.

A backup that another delivery of the event started can be in no list: between the end of its task and its entry among
the ended backups. CreateBackup has no token that makes it idempotent, so a second call would start a second backup. A
*clear moment* is one at which no backup can be hidden in this way. There are two kinds:

- A look of a *prompt* invocation, which began within 12 s of the event. Such looks count until W after the event.
- The end of a *watch*: looks at most 12 s apart, for 62 s or more and not before W, that show no backup that satisfies.

                   event        W = 60 s and more               W + 12 s
    prompt           |--looks, starts--------------------------|--|
    a repeat                  |--look--look-- … --look--look--|  start at its end, not before W
                                       62 s or more

Proof for the watch: a backup that started before its last look was running at one of its looks (they are at most 12 s
apart, and no backup is shorter than 15 s), or had ended before the first look and is listed by the last one (62 s
later; lists are late by 60 s at most). A backup that starts after the last look still runs when CreateBackup arrives
(at most 12 s later), and R-KVStore refuses a second one. Prompt invocations start backups before W + 12 s, so that a
watch sees them.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from redis_backup.request.request import Request

PROMPT_WITHIN = timedelta(seconds=12)  # after the event: how late a prompt invocation may begin
SEND_WITHIN = timedelta(seconds=12)  # after a clear moment: how late CreateBackup may be sent
LOOK_EVERY = timedelta(seconds=8)
LOOK_WITHIN = timedelta(seconds=12)  # after a longer gap a watch begins again; less than the shortest backup
SHORTEST_BACKUP = timedelta(seconds=15)  # two backups of one instance start further apart than this
WATCH_LENGTH = timedelta(seconds=63)  # lists are late by 60 s at most; 62 are needed, and a call takes time to arrive
TIME_FOR_WATCH = 71.0  # seconds that a watch needs, with its last look and CreateBackup
MIN_TIMEOUT = 120.0  # seconds; a shorter timeout of the function leaves no time for a watch
WAIT_AFTER_UNKNOWN = timedelta(seconds=75)  # how long such a function waits after a CreateBackup of unknown outcome
STARVED_AFTER = timedelta(minutes=15)  # after the first invocation: how long an instance may go without a watch


def window_end(request: Request) -> datetime:
    """Return the time W after the event: until then prompt invocations start backups, and no watch ends."""
    return request.since + timedelta(seconds=min(600.0, 60 + 0.5 * request.total))


def is_prompt(request: Request, began: datetime) -> bool:
    """Return whether an invocation that began then is prompt: soon after the event, or after its shard was sent."""
    sent = request.follow_up.sent_at if request.follow_up else request.since
    return sent is not None and began - sent <= PROMPT_WITHIN


@dataclass
class Watch:
    """The looks at one instance in this invocation that have shown no backup that satisfies the request."""

    first_look: datetime | None = None
    last_look: datetime | None = None

    def note_look(self, moment: datetime) -> None:
        """Note a look that has shown no backup that satisfies. `moment`: when its first call was sent."""
        if self.first_look is None or self.last_look is None or moment - self.last_look > LOOK_WITHIN:
            self.first_look = moment
        self.last_look = moment

    def end(self, request: Request) -> datetime | None:
        """Return when the watch can be complete; None if it has not begun."""
        return max(self.first_look + WATCH_LENGTH, window_end(request)) if self.first_look else None

    def is_complete(self, request: Request) -> bool:
        """Return whether its last look was a clear moment."""
        end = self.end(request)
        return end is not None and self.last_look is not None and self.last_look >= end

    def next_look(self, request: Request) -> datetime:
        """Return when to look next: in 8 s, or at the end of the watch if that is sooner."""
        end = self.end(request)
        if end is None or self.last_look is None:
            raise ValueError("the watch has not begun")
        next_look = self.last_look + LOOK_EVERY
        return min(next_look, end) if end > self.last_look else next_look

    def reset(self) -> None:
        """Forget all looks: no earlier moment is clear any more."""
        self.first_look = self.last_look = None
