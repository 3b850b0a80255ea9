"""Check this machine's clock: each of Function Compute's answers has a header `Date`, to the second.

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
    """This machine's clock is wrong, and so is the `since` that was taken from it.

    `ahead`: how many seconds Function Compute's clock is ahead of it, at least; negative where it is behind.
    """

    def __init__(self, ahead: float) -> None:
        super().__init__("this machine's clock is wrong", "set it, or give a time by --since")
        self.ahead = ahead


class Timekeeper:
    """Compares the two clocks until it is known whether they agree.

    Not later: this machine's clock may be set while the command runs, or stand still while the machine sleeps.
    """

    def __init__(self, clock: Clock, *, is_settled: bool = False) -> None:
        self._clock, self.is_settled = clock, is_settled

    def now(self) -> float:
        """Return this machine's time, in seconds since 1970."""
        return self._clock.time()

    def is_uncertain(self, date: str, sent: float) -> bool:
        """Return whether an answer's `Date` leaves the question open. Raise WrongClockError where the clocks differ.

        `sent`: when its call was sent, by this machine's clock.
        """
        try:
            written = parsedate_to_datetime(date).timestamp()
        except (ValueError, TypeError, OverflowError):  # no header, or none that can be read
            return False
        least, most = written - self.now(), written + 1 - sent
        if self.is_settled:
            return False
        if least > TOLERANCE or most < -TOLERANCE:
            raise WrongClockError(least)
        self.is_settled = least + 1 >= -TOLERANCE
        return not self.is_settled
