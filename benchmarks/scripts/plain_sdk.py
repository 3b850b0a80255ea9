"""Create one backup as the SDK's own samples do: the reference for the cold start."""

import os
import sys

from alibabacloud_credentials.client import Client as CredentialClient
from alibabacloud_r_kvstore20150101 import models as r_kvstore_20150101_models
from alibabacloud_r_kvstore20150101.client import Client as R_kvstore20150101Client
from alibabacloud_tea_openapi import models as open_api_models
from darabonba.runtime import RuntimeOptions

scheme, _, host = os.environ["BACKUP_ENDPOINT"].partition("://")
credential = CredentialClient()
config = open_api_models.Config(credential=credential, protocol=scheme.upper())
config.endpoint = host
client = R_kvstore20150101Client(config)
create_backup_request = r_kvstore_20150101_models.CreateBackupRequest(instance_id=sys.argv[1])
client.create_backup_with_options(create_backup_request, RuntimeOptions())
