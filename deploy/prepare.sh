#!/bin/sh
# Make everything that the function needs in your account, from the `vars` of s.yaml: deploy/prepare.sh
#
# Run it before `s deploy`, and again after each change of `vars` or of deploy/*.json: what is there is updated. It needs
# the aliyun CLI with credentials, which need the permissions of build/deploy/prepare-policy.json. To be told of alerts,
# set alertEmail in s.yaml, or give a webhook: ALERT_WEBHOOK=https://… deploy/prepare.sh
set -eu
cd "$(dirname "$0")/.."

fail() { # $1: what is wrong, $2: what to do
  printf '✗ %s\n  %s\n' "$1" "$2" >&2
  exit 1
}

try() { # Run a command, and keep its output in $answer.
  answer=$("$@" 2>&1)
}

absent() { # Whether the answer says that something is not there, such as ProjectNotExist or EventRuleNotExisted.
  case $answer in *NotExist*) return 0 ;; *) return 1 ;; esac
}

hint=''
refused() { # $1: what could not be made, $2: the permissions
  printf '✗ %s: refused. What was made before it stays.\n' "$1" >&2
  printf '%s\n' "$answer" | sed 's/^/    /' >&2
  printf '  This step needs %s; build/deploy/prepare-policy.json has all permissions.\n' "$2" >&2
  [ -z "$hint" ] || printf '  %s\n' "$hint" >&2
  printf '  Correct it, then run deploy/prepare.sh again.\n' >&2
  exit 1
}

ensure() { # $1: what, $2: permissions, $3: the command that looks, $4: that creates, $5: that updates
  if try $3; then
    try ${5:-true} || refused "$1" "$2"
    printf '✓ %s: up to date\n' "$1"
    return
  fi
  absent || refused "$1" "$2"
  tries=0
  until try $4; do # Log Service takes a moment until it knows its new project
    absent && [ "$tries" -lt 12 ] || refused "$1" "$2"
    tries=$((tries + 1))
    sleep 5
  done
  printf '✓ %s: created\n' "$1"
}

# What is needed to begin

command -v aliyun >/dev/null ||
  fail 'The aliyun CLI is missing.' 'Install it: https://www.alibabacloud.com/help/en/cli/'
[ -e .venv/.ready ] || make .venv/.ready
try aliyun sts GetCallerIdentity --region cn-hangzhou ||
  fail "aliyun has no valid credentials: $answer" \
    'Export ALIBABA_CLOUD_ACCESS_KEY_ID and ALIBABA_CLOUD_ACCESS_KEY_SECRET, or run: aliyun configure'
account=$(printf '%s\n' "$answer" | sed -n 's/.*"AccountId": *"\([0-9]*\)".*/\1/p')
.venv/bin/python deploy/render.py "$account" >/dev/null
. build/deploy/vars.sh
files=build/deploy
tool=build/aliyunlog/bin
if [ ! -x "$tool/aliyunlog" ]; then
  printf '… installing aliyunlog into build/aliyunlog\n'
  .venv/bin/python -m venv build/aliyunlog
  "$tool/python" -m pip install --quiet aliyun-log-cli==0.2.10
fi
export ALIYUN_LOG_CLI_ENDPOINT="https://$region.log.aliyuncs.com" # without https:// it uses plain HTTP
printf '… account %s, region %s\n' "$account" "$region"

cloud() { aliyun "$@" --region "$region"; }

# The function's role

get_role() { cloud ram GetRole --RoleName "$role"; }
create_role() {
  cloud ram CreateRole --RoleName "$role" --AssumeRolePolicyDocument "$(cat $files/role-trust-policy.json)"
}
update_role() {
  cloud ram UpdateRole --RoleName "$role" --NewAssumeRolePolicyDocument "$(cat $files/role-trust-policy.json)"
}
get_policy() { cloud ram GetPolicy --PolicyName "$role" --PolicyType Custom; }
create_policy() { cloud ram CreatePolicy --PolicyName "$role" --PolicyDocument "$(cat $files/role-policy.json)"; }
update_policy() {
  cloud ram CreatePolicyVersion --PolicyName "$role" --PolicyDocument "$(cat $files/role-policy.json)" \
    --SetAsDefault true --RotateStrategy DeleteOldestNonDefaultVersionWhenLimitExceeded
}
attach_policy() { cloud ram AttachPolicyToRole --RoleName "$role" --PolicyName "$role" --PolicyType Custom; }

ensure "role $role" 'ram:GetRole ram:CreateRole ram:UpdateRole' get_role create_role update_role
ensure "policy $role" 'ram:GetPolicy ram:CreatePolicy ram:CreatePolicyVersion' get_policy create_policy update_policy
try attach_policy || case $answer in
  *AlreadyExist*) ;;
  *) refused "attaching policy $role to role $role" 'ram:AttachPolicyToRole' ;;
esac

# The bucket of copies: the rule that deletes them again

lifecycle() { # $1: get or put, and what the command takes
  verb=$1
  shift
  aliyun ossutil api "$verb-bucket-lifecycle" --bucket "$storeBucket" "$@" --region "${storeRegion:-$region}"
}
keep() { # $1: why there is no rule
  printf '! bucket %s: %s. See that it gets the rule of %s/store-lifecycle.json, or copies are kept for ever.\n' \
    "$storeBucket" "$1" $files
}

if [ -n "$storeBucket" ]; then
  hint='aliyun 3.0.304 or later has the command ossutil.'
  rule='none'
  if try lifecycle get --output-format json; then
    rule=$(printf '%s' "$answer" | grep -o '"ID": *"[^"]*"' | sed 's/"ID": *"\(.*\)"/\1/')
  fi
  case $rule-$answer in
    none-*NoSuchBucket*) keep 'it does not exist yet' ;;
    none-*AccessDenied*) keep 'its rules cannot be read (oss:GetBucketLifecycle), as in a bucket of another account' ;;
    none-*NoSuchLifecycle* | "$functionName"-*) # OSS replaces all rules at once: only if there is no other one
      try lifecycle put --lifecycle-configuration "$(cat $files/store-lifecycle.json)" ||
        refused "lifecycle rule of bucket $storeBucket" 'oss:PutBucketLifecycle'
      printf '✓ lifecycle rule of bucket %s: up to date\n' "$storeBucket"
      ;;
    none-*) refused "lifecycle rule of bucket $storeBucket" 'oss:GetBucketLifecycle' ;;
    *) keep 'it has rules of its own, which stay as they are' ;;
  esac
  hint=''
fi

# The log store, and what reads it

log() { "$tool/aliyunlog" log "$@"; }
get_project() { log get_project --project_name="$logProject"; }
create_project() { log create_project --project_name="$logProject" --project_des='Redis backups'; }
get_store() { log get_logstore --project_name="$logProject" --logstore_name="$logstore"; }
create_store() {
  log create_logstore --project_name="$logProject" --logstore_name="$logstore" --ttl=180 --shard_count=1
}
get_index() { log get_index_config --project_name="$logProject" --logstore_name="$logstore"; }
put_index() {
  log "$1" --project_name="$logProject" --logstore_name="$logstore" --index_detail="file://$files/log-index.json"
}
get_item() { log "get_$1" --project="$logProject" --entity="$2"; }
put_item() { log "$1" --project="$logProject" --detail="file://$2"; }
items() { # $1: dashboard, savedsearch or alert; $2: its permissions; then its files
  kind=$1 permissions=$2
  shift 2
  for file in "$@"; do
    name=${file##*/} name=${name%.json} name=${name#*.}
    ensure "$kind $name" "$permissions" "get_item $kind $name" "put_item create_$kind $file" \
      "put_item update_$kind $file"
  done
}

hint='Another account may have a project of this name: choose another one, logProject in s.yaml.'
ensure "log project $logProject" 'log:GetProject log:CreateProject' get_project create_project
hint=''
ensure "log store $logstore" 'log:GetLogStore log:CreateLogStore' get_store create_store
ensure "index of $logstore" 'log:GetIndex log:CreateIndex log:UpdateIndex' get_index 'put_index create_index' \
  'put_index update_index'
items dashboard 'log:GetDashboard log:CreateDashboard log:UpdateDashboard' "$files"/dashboard.*.json
items savedsearch 'log:GetSavedSearch log:CreateSavedSearch log:UpdateSavedSearch' "$files"/queries.*.json

# Who is told of alerts, and the alerts

if [ -n "$alertEmail${ALERT_WEBHOOK:-}" ]; then
  try "$tool/python" deploy/notify.py "$actionPolicy" "$alertEmail" ||
    refused "action policy $actionPolicy" 'log:UpsertResourceRecord'
  printf '✓ action policy %s: up to date\n' "$actionPolicy"
fi
items alert 'log:GetJob log:CreateJob log:UpdateJob' "$files"/alerts.*.json

# The bus of pipelines, and the rule that sends its events to the function

link=AliyunServiceRoleForEventBridgeSendToFC
get_link() { cloud ram GetRole --RoleName $link; }
create_link() { cloud resourcemanager CreateServiceLinkedRole --ServiceName sendevent-fc.eventbridge.aliyuncs.com; }
bus() { # EventBridge answers with status 200 when it refuses, too.
  reply=$(cloud eventbridge "$@" --EventBusName "$eventBus" 2>&1) || {
    printf '%s\n' "$reply"
    return 1
  }
  printf '%s\n' "$reply"
  case $(printf '%s' "$reply" | tr -d ' \n\t') in *'"Code":"Success"'*) ;; *) return 1 ;; esac
}
get_bus() { bus GetEventBus; }
create_bus() { bus CreateEventBus --Description 'Events of deployment pipelines'; }
get_rule() { bus GetRule --RuleName "$eventRule"; }
create_rule() {
  bus CreateRule --RuleName "$eventRule" --Status ENABLE --FilterPattern "$(cat $files/event-pattern.json)" \
    --EventTargets "$(cat $files/event-targets.json)"
}
update_rule() {
  bus UpdateRule --RuleName "$eventRule" --FilterPattern "$(cat $files/event-pattern.json)"
}
put_targets() { bus PutTargets --RuleName "$eventRule" --Targets "$(cat $files/event-targets.json)"; }

if [ -n "$eventBus" ]; then
  ensure "service-linked role $link" 'ram:GetRole ram:CreateServiceLinkedRole' get_link create_link
  ensure "event bus $eventBus" 'eventbridge:GetEventBus eventbridge:CreateEventBus' get_bus create_bus
  hint='If EventBridge does not find the function: s deploy, then run deploy/prepare.sh again.'
  ensure "event rule $eventRule" 'eventbridge:GetRule eventbridge:CreateRule eventbridge:UpdateRule' \
    get_rule create_rule update_rule
  try put_targets || refused "the target of event rule $eventRule" 'eventbridge:PutTargets'
fi

[ -n "$alertEmail${ALERT_WEBHOOK:-}" ] ||
  printf '! Unless you have made the action policy %s yourself, nobody is told of alerts: set alertEmail in s.yaml.\n' \
    "$actionPolicy"
printf 'Everything is prepared. Next: s deploy\n'
