"""Calls what the function calls, and prints the answers: run by test_lazy_sdk.py, in a process of its own.

lazy_sdk_child.py WAY ENDPOINT  where WAY is `lazy` (as the function imports the SDKs) or `plain` (as anybody does)
"""

from __future__ import annotations

import importlib
import json
import sys
from typing import Any
from urllib.parse import urlsplit

from redis_backup.alibaba import function_compute, lazy_sdk, sdk
from redis_backup.alibaba.api_errors import ApiError
from redis_backup.backoff import Deadline
from redis_backup.credentials import Credentials
from redis_backup.runtime import SystemClock

WINDOW = {"start_time": "2026-11-24T01:00Z", "end_time": "2026-11-24T05:00Z"}
REGION = "cn-hangzhou"
OPERATIONS: list[tuple[str, dict[str, Any]]] = [
    ("describe_instances", {"region_id": REGION, "instance_ids": "r-a,r-b", "page_number": 1, "page_size": 50}),
    ("describe_instances", {"region_id": REGION, "instance_type": "Tair"}),
    ("describe_instance_attribute", {"instance_id": "r-a"}),
    ("create_backup", {"instance_id": "r-a", "backup_retention_period": 30}),
    ("create_backup", {"instance_id": "r-a"}),  # refused: one runs
    ("create_backup", {"instance_id": "r-b"}),
    ("describe_backup_tasks", {"instance_id": "r-a"}),
    ("describe_backups", {"instance_id": "r-old", "page_number": 1, "page_size": 300, **WINDOW}),
    ("create_backup", {"instance_id": "r-c"}),
    ("describe_cluster_backup_list", {"region_id": REGION, "instance_id": "r-c", "no_shard_backup": "true", **WINDOW}),
    ("describe_backups", {"instance_id": "r-unknown", **WINDOW}),
]


def main(way: str, endpoint: str, access_key_id: str, secret: str) -> list[Any]:
    load = lazy_sdk.load if way == "lazy" else importlib.import_module
    for name in ("alibabacloud_r_kvstore20150101.client", "fc2.client"):
        load(name)
    models: Any = load("alibabacloud_r_kvstore20150101.models")
    credentials = Credentials(access_key_id, secret, "")
    config = sdk.config(credentials, REGION, endpoint, connections=4)
    client = sys.modules["alibabacloud_r_kvstore20150101.client"].Client(config)
    answers: list[Any] = []
    for name, parameters in OPERATIONS:
        title = "".join(part.capitalize() for part in name.split("_"))
        if tag := parameters.get("instance_type"):
            parameters = {**parameters, "tag": [models.DescribeInstancesRequestTag(key="kind", value=tag.lower())]}
        request = getattr(models, f"{title}Request")(**parameters)
        options = sys.modules["darabonba.runtime"].RuntimeOptions(connect_timeout=5000, read_timeout=10000)
        try:
            answers.append(comparable(getattr(client, f"{name}_with_options")(request, options).body.to_map()))
        except sys.modules["Tea.exceptions"].TeaException as error:
            answers.append([type(error).__name__, error.code, error.status_code])
    deadline = Deadline(SystemClock(), SystemClock().monotonic() + 60)
    for service in ("", "backup-service"):
        name = function_compute.FunctionName(REGION, "1234567890123456", "redis-backup", service)
        headers = {"x-fc-invocation-type": "Async", "x-fc-async-task-id": "task-1"}
        try:
            reply = function_compute.invoke(
                name, endpoint, credentials, b"{}", headers, deadline=deadline, read_timeout=10
            )
            answers.append([reply.body.decode(), reply.error_type])
        except ApiError as error:
            answers.append(str(error))
    return answers


def comparable(answer: Any) -> Any:
    """An answer without what each run has of its own: the request's ID, and the port and signature of addresses."""
    if isinstance(answer, dict):
        return {name: comparable(value) for name, value in answer.items() if name != "RequestId"}
    if isinstance(answer, list):
        return [comparable(each) for each in answer]
    return urlsplit(answer).path if isinstance(answer, str) and answer.startswith("http") else answer


if __name__ == "__main__":
    json.dump({"answers": main(*sys.argv[1:]), "modules": sorted(sys.modules)}, sys.stdout)
