# The log store's index, dashboard and alerts by Terraform, from the files that deploy/render.py wrote.
# The commands of docs/deployment.md do the same without Terraform; use one of the two.
# Saved searches are left to the commands: the provider has no resource for them.

terraform {
  required_providers {
    alicloud = {
      source  = "aliyun/alicloud"
      version = ">= 1.260.0" # alicloud_sls_index
    }
  }
}

variable "region" {
  type    = string
  default = "cn-hangzhou"
}

variable "project" {
  type        = string
  description = "Log project, the logProject of s.yaml"
}

variable "logstore" {
  type    = string
  default = "redis-backup"
}

variable "retention_days" {
  type    = number
  default = 180
}

locals {
  rendered  = "${path.module}/../build/deploy"
  index     = jsondecode(file("${local.rendered}/log-index.json"))
  dashboard = jsondecode(file("${local.rendered}/dashboard.json"))
  alerts    = { for alert in jsondecode(file("${local.rendered}/alerts.json")) : alert.name => alert }
}

provider "alicloud" {
  region = var.region
}

resource "alicloud_log_project" "backup" {
  project_name = var.project
  description  = "Redis backups"
}

resource "alicloud_log_store" "backup" {
  project_name     = alicloud_log_project.backup.project_name
  logstore_name    = var.logstore
  shard_count      = 1
  retention_period = var.retention_days
}

resource "alicloud_sls_index" "backup" {
  project_name  = alicloud_log_project.backup.project_name
  logstore_name = alicloud_log_store.backup.logstore_name
  keys          = jsonencode(local.index.keys)
  max_text_len  = local.index.max_text_len
  line {
    case_sensitive = local.index.line.caseSensitive
    chn            = local.index.line.chn
    token          = local.index.line.token
  }
}

resource "alicloud_log_dashboard" "backup" {
  project_name   = alicloud_log_project.backup.project_name
  dashboard_name = local.dashboard.dashboardName
  display_name   = local.dashboard.displayName
  attribute      = jsonencode(local.dashboard.attribute)
  char_list      = jsonencode(local.dashboard.charts)
}

resource "alicloud_sls_alert" "backup" {
  for_each     = local.alerts
  project_name = alicloud_log_project.backup.project_name
  alert_name   = each.key
  display_name = each.value.displayName
  status       = "ENABLED"

  schedule {
    type     = each.value.schedule.type
    interval = each.value.schedule.interval
  }

  configuration {
    version          = each.value.configuration.version
    type             = each.value.configuration.type
    dashboard        = each.value.configuration.dashboard
    auto_annotation  = each.value.configuration.autoAnnotation
    send_resolved    = each.value.configuration.sendResolved
    threshold        = each.value.configuration.threshold
    no_data_fire     = each.value.configuration.noDataFire
    no_data_severity = each.value.configuration.noDataSeverity

    dynamic "query_list" {
      for_each = each.value.configuration.queryList
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
      type   = each.value.configuration.groupConfiguration.type
      fields = each.value.configuration.groupConfiguration.fields
    }

    dynamic "severity_configurations" {
      for_each = each.value.configuration.severityConfigurations
      content {
        severity = severity_configurations.value.severity
        eval_condition {
          condition       = severity_configurations.value.evalCondition.condition
          count_condition = severity_configurations.value.evalCondition.countCondition
        }
      }
    }

    dynamic "labels" {
      for_each = each.value.configuration.labels
      content {
        key   = labels.value.key
        value = labels.value.value
      }
    }

    dynamic "annotations" {
      for_each = each.value.configuration.annotations
      content {
        key   = annotations.value.key
        value = annotations.value.value
      }
    }

    policy_configuration {
      alert_policy_id  = each.value.configuration.policyConfiguration.alertPolicyId
      action_policy_id = each.value.configuration.policyConfiguration.actionPolicyId
      repeat_interval  = each.value.configuration.policyConfiguration.repeatInterval
    }
  }
}
