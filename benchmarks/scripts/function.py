"""Invoke the function once, as the platform does.

Arguments: the event, the function's time-out in seconds (600), and how many parts of files it reads at once (its own).

Prints a JSON object: the report's counts, the handler's time in seconds, the process's CPU time in seconds, the largest
resident memory in bytes, the number of modules that were imported, and which of them files and the store alone need.
"""

import json
import os
import sys
import time
from types import SimpleNamespace

event, timeout = sys.argv[1].encode(), float(sys.argv[2]) if len(sys.argv) > 2 else 600.0
context = SimpleNamespace(
    request_id="1-00000000-000000000000000000000000",
    region=os.environ["FC_REGION"],
    account_id=os.environ["FC_ACCOUNT_ID"],
    function=SimpleNamespace(name=os.environ["FC_FUNCTION_NAME"], timeout=timeout),
)
stdout, sys.stdout = sys.stdout, open(os.devnull, "w")  # noqa: SIM115 - records are discarded

import handler  # noqa: E402 - it is measured

if len(sys.argv) > 3 and sys.argv[3]:
    os.environ["BACKUP_CONCURRENCY"] = sys.argv[3]
handler.initialize(context)
began = time.monotonic()
report = handler.handler(event, context)
seconds = time.monotonic() - began
result = {"counts": report["counts"], "seconds": seconds, "cpu": time.process_time(), "modules": len(sys.modules)}
result["proof"] = sorted({"alibabacloud_oss_v2", "anycrc"} & set(sys.modules))
with open("/proc/self/status") as status:  # (getrusage gives the parent's, if that is larger)
    result["memory"] = next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM:"))
json.dump(result, stdout)
