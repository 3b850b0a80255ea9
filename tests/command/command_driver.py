"""The command in a process of its own whose clock is the cloud's: the first argument is `SPEED:START:BEGAN`.

What the command imports at its first call is imported before it begins: a second of it would be a minute of the cloud.
"""

import sys
import time

from redis_backup.alibaba import lazy_sdk
from redis_backup_cli import app  # noqa: F401
from redis_backup_cli.__main__ import main
from simulator import ScaledClock

if __name__ == "__main__":
    for name in ("fc2.client", "alibabacloud_tea_openapi.client", "alibabacloud_credentials.client"):
        lazy_sdk.load(name)
    speed, start, began = map(float, sys.argv.pop(1).split(":"))
    sys.exit(main(clock=ScaledClock(speed, start + (time.monotonic() - began) * speed)))
