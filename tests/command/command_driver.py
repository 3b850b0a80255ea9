"""The command in a process of its own whose clock is the cloud's: the first argument is `SPEED:START:BEGAN`."""

import sys
import time

from redis_backup.__main__ import main
from simulator import ScaledClock

if __name__ == "__main__":
    speed, start, began = map(float, sys.argv.pop(1).split(":"))
    sys.exit(main(clock=ScaledClock(speed, start + (time.monotonic() - began) * speed)))
