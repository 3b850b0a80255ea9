"""The older Python SDK (HMAC-SHA1 in the query) against the simulated cloud. Arguments: endpoint, instance ID.

It runs where that SDK is installed and this project is not. Prints what it saw as JSON.
"""

import json
import os
import sys
import time
from datetime import datetime, timedelta, timezone

from aliyunsdkcore.acs_exception.exceptions import ServerException
from aliyunsdkcore.client import AcsClient
from aliyunsdkr_kvstore.request.v20150101.CreateBackupRequest import CreateBackupRequest
from aliyunsdkr_kvstore.request.v20150101.DescribeBackupsRequest import DescribeBackupsRequest
from aliyunsdkr_kvstore.request.v20150101.DescribeInstancesRequest import DescribeInstancesRequest

endpoint, instance = sys.argv[1:]
client = AcsClient(
    os.environ["ALIBABA_CLOUD_ACCESS_KEY_ID"], os.environ["ALIBABA_CLOUD_ACCESS_KEY_SECRET"], "cn-hangzhou"
)


def call(request, **parameters):
    request.set_endpoint(endpoint)
    request.set_protocol_type("http")
    for name, value in parameters.items():
        getattr(request, f"set_{name}")(value)
    return json.loads(client.do_action_with_exception(request))


def minute(hours):
    return (datetime.now(timezone.utc) + timedelta(hours=hours)).strftime("%Y-%m-%dT%H:%MZ")


seen = {"job_id": str(call(CreateBackupRequest(), InstanceId=instance)["BackupJobID"])}
try:
    call(CreateBackupRequest(), InstanceId=instance)
except ServerException as error:
    seen["refused"] = error.get_error_code()
listed = call(DescribeInstancesRequest(), InstanceIds=instance)["Instances"]["KVStoreInstance"]
seen["listed"] = [each["InstanceId"] for each in listed]
for _ in range(100):
    window = {"StartTime": minute(-10), "EndTime": minute(10)}
    backups = call(DescribeBackupsRequest(), InstanceId=instance, **window)["Backups"]["Backup"]
    status = [each["BackupStatus"] for each in backups if str(each["BackupJobID"]) == seen["job_id"]]
    if status:
        seen["status"] = status[0]
        break
    time.sleep(0.05)
print(json.dumps(seen))  # noqa: T201 - that is what it is for
