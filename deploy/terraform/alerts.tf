# The alerts of deploy/alerts.json, and the action policy that says who is told. E-mail addresses, webhooks and action
# policies are records of Log Service, which keeps them in one region for all projects of an account.
# https://help.aliyun.com/zh/sls/developer-reference/data-structure-of-alert-resource-data

locals {
  alert_email  = var.alert_email == null ? local.serverless.vars.alertEmail : var.alert_email
  makes_policy = var.alerts && var.alert_action_policy == null
  has_email    = local.makes_policy && local.alert_email != ""
  has_webhook  = local.makes_policy && nonsensitive(var.alert_webhook != null)
  is_told      = local.has_email || local.has_webhook

  # Empty: Log Service shows the alert, and tells nobody.
  action_policy = local.is_told ? local.name : try(coalesce(var.alert_action_policy), "")

  template = "template_id=\"sls.builtin.en\", period=\"any\""
  actions = join("\n", compact([
    local.has_email ? "fire(type=\"email\", users=[], groups=[\"${local.name}\"], oncall_groups=[], receiver_type=\"static\", external_url=\"\", external_headers={}, ${local.template})" : "",
    local.has_webhook ? "fire(type=\"webhook_integration\", integration_type=\"${var.alert_webhook_type}\", webhook_id=\"${local.name}\", ${local.template})" : "",
  ]))
}

resource "alicloud_log_resource_record" "user" {
  provider      = alicloud.records
  count         = local.has_email ? 1 : 0
  resource_name = "sls.common.user"
  record_id     = local.name
  tag           = local.name
  value = jsonencode({
    user_id       = local.name
    user_name     = local.name
    email         = [local.alert_email]
    country_code  = "86"
    phone         = ""
    enabled       = true
    sms_enabled   = false
    voice_enabled = false
  })
}

resource "alicloud_log_resource_record" "user_group" {
  provider      = alicloud.records
  count         = local.has_email ? 1 : 0
  resource_name = "sls.common.user_group"
  record_id     = local.name
  tag           = local.name
  value = jsonencode({
    user_group_id   = local.name
    user_group_name = local.name
    enabled         = true
    members         = [alicloud_log_resource_record.user[0].record_id]
  })
}

resource "alicloud_log_resource_record" "webhook" {
  provider      = alicloud.records
  count         = local.has_webhook ? 1 : 0
  resource_name = "sls.alert.action_webhook"
  record_id     = local.name
  tag           = local.name
  value = jsonencode({
    id      = local.name
    name    = local.name
    type    = var.alert_webhook_type
    url     = var.alert_webhook
    method  = "POST"
    headers = [{ key = "Content-Type", value = "application/json" }]
  })
}

resource "alicloud_log_resource_record" "action_policy" {
  provider      = alicloud.records
  count         = local.is_told ? 1 : 0
  resource_name = "sls.alert.action_policy"
  record_id     = local.action_policy
  tag           = local.action_policy
  value = jsonencode({
    action_policy_id              = local.action_policy
    action_policy_name            = local.action_policy
    labels                        = {}
    is_default                    = false
    primary_policy_script         = local.actions
    secondary_policy_script       = local.actions # never used, but an empty one is refused (ActionPolicyEmpty)
    escalation_start_enabled      = false
    escalation_start_timeout      = "10m"
    escalation_inprogress_enabled = false
    escalation_inprogress_timeout = "30m"
    escalation_enabled            = false
    escalation_timeout            = "1h"
  })

  depends_on = [alicloud_log_resource_record.user_group, alicloud_log_resource_record.webhook]
}

check "alerts_are_told" {
  assert {
    condition     = !var.alerts || local.action_policy != ""
    error_message = "Nobody is told of the alerts. Set alert_email, alert_webhook or alert_action_policy."
  }
}

resource "alicloud_sls_alert" "backup" {
  for_each     = var.alerts ? { for index, alert in jsondecode(local.texts["alerts"]) : alert.name => index } : {}
  project_name = alicloud_log_store.backup.project_name
  alert_name   = each.key
  display_name = local.documents["alerts"][each.value].displayName
  status       = "ENABLED"

  schedule {
    type     = local.documents["alerts"][each.value].schedule.type
    interval = local.documents["alerts"][each.value].schedule.interval
  }

  configuration {
    version          = local.documents["alerts"][each.value].configuration.version
    type             = local.documents["alerts"][each.value].configuration.type
    dashboard        = local.documents["alerts"][each.value].configuration.dashboard
    auto_annotation  = local.documents["alerts"][each.value].configuration.autoAnnotation
    send_resolved    = local.documents["alerts"][each.value].configuration.sendResolved
    threshold        = local.documents["alerts"][each.value].configuration.threshold
    no_data_fire     = local.documents["alerts"][each.value].configuration.noDataFire
    no_data_severity = local.documents["alerts"][each.value].configuration.noDataSeverity

    dynamic "query_list" {
      for_each = local.documents["alerts"][each.value].configuration.queryList
      content {
        store_type     = query_list.value.storeType
        region         = query_list.value.region
        project        = query_list.value.project
        store          = query_list.value.store
        query          = query_list.value.query
        time_span_type = query_list.value.timeSpanType
        start          = query_list.value.start
        end            = query_list.value.end
        power_sql_mode = query_list.value.powerSqlMode
      }
    }

    group_configuration {
      type   = local.documents["alerts"][each.value].configuration.groupConfiguration.type
      fields = local.documents["alerts"][each.value].configuration.groupConfiguration.fields
    }

    dynamic "severity_configurations" {
      for_each = local.documents["alerts"][each.value].configuration.severityConfigurations
      content {
        severity = severity_configurations.value.severity
        eval_condition {
          condition       = severity_configurations.value.evalCondition.condition
          count_condition = severity_configurations.value.evalCondition.countCondition
        }
      }
    }

    dynamic "labels" {
      for_each = local.documents["alerts"][each.value].configuration.labels
      content {
        key   = labels.value.key
        value = labels.value.value
      }
    }

    dynamic "annotations" {
      for_each = local.documents["alerts"][each.value].configuration.annotations
      content {
        key   = annotations.value.key
        value = annotations.value.value
      }
    }

    policy_configuration {
      alert_policy_id  = local.documents["alerts"][each.value].configuration.policyConfiguration.alertPolicyId
      action_policy_id = local.documents["alerts"][each.value].configuration.policyConfiguration.actionPolicyId
      repeat_interval  = local.documents["alerts"][each.value].configuration.policyConfiguration.repeatInterval
    }
  }

  depends_on = [alicloud_log_resource_record.action_policy, alicloud_sls_index.backup]
}
