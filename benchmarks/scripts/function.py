"""Invoke the function once, as the platform does. Arguments: the number of instances, and that of the first (0).

Prints a JSON object: the report's counts, the handler's time in seconds, and the largest resident memory in bytes.
"""

import json
import os
import sys
import time
from types import SimpleNamespace

count, first = int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0
event = json.dumps({"instance_ids": [f"r-bench{number:05d}" for number in range(first, first + count)]}).encode()
context = SimpleNamespace(
    request_id="1-00000000-000000000000000000000000",
    region=os.environ["FC_REGION"],
    account_id=os.environ["FC_ACCOUNT_ID"],
    function=SimpleNamespace(name=os.environ["FC_FUNCTION_NAME"], timeout=600),
)
stdout, sys.stdout = sys.stdout, open(os.devnull, "w")  # noqa: SIM115 - records are discarded

import handler  # noqa: E402 - it is measured

handler.initialize(context)
began = time.monotonic()
report = handler.handler(event, context)
seconds = time.monotonic() - began
with open("/proc/self/status") as status:  # (getrusage gives the parent's, if that is larger)
    memory = next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM:"))
json.dump({"counts": report["counts"], "seconds": seconds, "memory": memory}, stdout)
