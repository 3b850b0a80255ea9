"""Whether this machine's clock is right: each of Function Compute's answers bears a `Date`, to the second.

What is certain is that an answer was written between the two moments by this machine's clock at which its call was sent
and it arrived. So a slow network is never taken for a wrong clock. But where this machine is a few seconds fast, the
function waits until `since` has come, and the call takes as long as the clocks differ: only another call can tell then.
"""

from __future__ import annotations

from email.utils import parsedate_to_datetime

from redis_backup.runtime import Clock

from .errors import CommandError

TOLERANCE = 2.0  # seconds


class WrongClockError(CommandError):
    """This machine's clock is wrong: what was asked for with its time is of no use.

    `ahead`: how many seconds Function Compute's is ahead, negative where it is behind; at least.
    """

    def __init__(self, ahead: float) -> None:
        super().__init__("this machine's clock is wrong", "set it, or name a moment by --since")
        self.ahead = ahead


class Timekeeper:
    """Compares the two clocks until that is settled. (Later, this one may be set, or stand still in a sleep.)"""

    def __init__(self, clock: Clock, *, is_settled: bool = False) -> None:
        self._clock, self.is_settled = clock, is_settled

    def now(self) -> float:
        """What this machine's clock shows."""
        return self._clock.time()

    def is_in_doubt(self, date: str, sent: float) -> bool:
        """Whether an answer's `Date` leaves it open, given when its call was sent. Raise WrongClockError."""
        try:
            written = parsedate_to_datetime(date).timestamp()
        except (ValueError, TypeError):  # no header, or none that can be read
            return False
        least, most = written - self.now(), written + 1 - sent
        if self.is_settled:
            return False
        if least > TOLERANCE or most < -TOLERANCE:
            raise WrongClockError(least)
        self.is_settled = least + 1 >= -TOLERANCE
        return not self.is_settled
