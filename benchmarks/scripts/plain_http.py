"""Read the file of an instance's newest backup by one connection of `requests`: the reference for reading files.

Argument: the instance. Prints a JSON object: the bytes, and the seconds from the request to the last of them.
"""

import json
import os
import sys
import time

import requests
from alibabacloud_r_kvstore20150101 import models as r_kvstore_20150101_models
from alibabacloud_r_kvstore20150101.client import Client as R_kvstore20150101Client
from alibabacloud_tea_openapi import models as open_api_models

scheme, _, host = os.environ["BACKUP_ENDPOINT"].partition("://")
config = open_api_models.Config(
    access_key_id=os.environ["ALIBABA_CLOUD_ACCESS_KEY_ID"],
    access_key_secret=os.environ["ALIBABA_CLOUD_ACCESS_KEY_SECRET"],
    protocol=scheme.upper(),
    endpoint=host,
)
request = r_kvstore_20150101_models.DescribeBackupsRequest(
    instance_id=sys.argv[1], start_time="2020-01-01T00:00Z", end_time="2099-01-01T00:00Z"
)
backups = R_kvstore20150101Client(config).describe_backups(request).body.backups.backup
size, began = 0, time.monotonic()
with requests.get(backups[0].backup_intranet_download_url, stream=True, timeout=10) as answer:
    answer.raise_for_status()
    for chunk in answer.iter_content(1 << 20):
        size += len(chunk)
json.dump({"bytes": size, "seconds": time.monotonic() - began}, sys.stdout)
