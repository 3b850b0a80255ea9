"""Make the action policy of the alerts: ALERT_WEBHOOK=https://… notify.py ACTION_POLICY EMAIL

deploy/prepare.sh calls it, with the Python into which it has installed aliyunlog. Users, webhooks and action policies
are records of Log Service, which keeps them in one region for all projects of an account.
https://help.aliyun.com/zh/sls/developer-reference/data-structure-of-alert-resource-data
"""

from __future__ import annotations

import os
import sys
from typing import Any

ENDPOINT = "https://cn-heyuan.log.aliyuncs.com"
Record = tuple[str, dict[str, Any]]  # the resource, and the value; its first two fields are the record's ID and tag


def records(policy: str, email: str, webhook: str) -> list[Record]:
    """Return the records in the order in which they have to be made. An empty address counts as none."""
    made: list[Record] = []
    actions = []
    if email:
        user = {"user_id": policy, "user_name": policy, "email": [email], "country_code": "86", "phone": ""}
        made.append(("sls.common.user", {**user, "enabled": True, "sms_enabled": False, "voice_enabled": False}))
        group = {"user_group_id": policy, "user_group_name": policy, "enabled": True, "members": [policy]}
        made.append(("sls.common.user_group", group))
        receiver = f'users=[], groups=["{policy}"], oncall_groups=[], receiver_type="static"'
        actions.append(f'fire(type="email", {receiver}, external_url="", external_headers={{}}, {_HOW})')
    if webhook:
        kind = "dingtalk" if webhook.startswith("https://oapi.dingtalk.com/") else "custom"
        headers = [{"key": "Content-Type", "value": "application/json"}]
        target = {"id": policy, "name": policy, "type": kind, "url": webhook, "method": "POST", "headers": headers}
        made.append(("sls.alert.action_webhook", target))
        actions.append(f'fire(type="webhook_integration", integration_type="{kind}", webhook_id="{policy}", {_HOW})')
    script = "\n".join(actions)
    value = {
        "action_policy_id": policy,
        "action_policy_name": policy,
        "labels": {},
        "is_default": False,
        "primary_policy_script": script,
        "secondary_policy_script": script,  # not used without an escalation, but it must not be empty
        "escalation_start_enabled": False,
        "escalation_start_timeout": "10m",
        "escalation_inprogress_enabled": False,
        "escalation_inprogress_timeout": "30m",
        "escalation_enabled": False,
        "escalation_timeout": "1h",
    }
    return [*made, ("sls.alert.action_policy", value)]


_HOW = 'template_id="sls.builtin.en", period="any"'


def main(policy: str, email: str) -> int:
    """Create or replace the records; the exit status."""
    from aliyun.log import LogClient, LogException
    from aliyun.log.resource_params import ResourceRecord
    from aliyunlogcli.config import load_config

    key, secret, _, token, *_ = load_config({})
    client = LogClient(ENDPOINT, key, secret, securityToken=token or None)
    for resource, value in records(policy, email, os.environ.get("ALERT_WEBHOOK", "")):
        record_id, tag = list(value.values())[:2]
        try:
            client.upsert_resource_record(resource, [ResourceRecord(record_id=record_id, tag=tag, value=value)])
        except LogException as error:
            sys.stderr.write(f"{resource}: {error.get_error_code()}: {error.get_error_message()}\n")
            return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main(*sys.argv[1:]))
