"""The script of the GitHub Action in a process whose clock is the cloud's, as `command_driver` does for the command.

Its first argument is `SPEED:START:BEGAN`, its last the script. What stands between are options of Python.
"""

import runpy
import sys
import time

from redis_backup.alibaba import lazy_sdk
from redis_backup_cli import app  # noqa: F401
from simulator import ScaledClock

if __name__ == "__main__":
    for name in ("fc2.client", "alibabacloud_tea_openapi.client", "alibabacloud_credentials.client"):
        lazy_sdk.load(name)
    speed, start, began = map(float, sys.argv[1].split(":"))
    script = runpy.run_path(sys.argv[-1])
    sys.exit(script["main"](clock=ScaledClock(speed, start + (time.monotonic() - began) * speed)))
