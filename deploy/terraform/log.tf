resource "alicloud_log_project" "backup" {
  project_name = local.values.logProject
  description  = "Redis backups"
}

resource "alicloud_log_store" "backup" {
  project_name     = alicloud_log_project.backup.project_name
  logstore_name    = local.values.logstore
  shard_count      = 1
  retention_period = var.log_retention_days
}

resource "alicloud_sls_index" "backup" {
  project_name  = alicloud_log_project.backup.project_name
  logstore_name = alicloud_log_store.backup.logstore_name
  keys          = jsonencode(local.documents["log-index"].keys)
  max_text_len  = local.documents["log-index"].max_text_len

  line {
    case_sensitive = local.documents["log-index"].line.caseSensitive
    chn            = local.documents["log-index"].line.chn
    token          = local.documents["log-index"].line.token
  }
}

resource "alicloud_log_dashboard" "backup" {
  project_name   = alicloud_log_store.backup.project_name
  dashboard_name = local.documents["dashboard"].dashboardName
  display_name   = local.documents["dashboard"].displayName
  attribute      = jsonencode(local.documents["dashboard"].attribute)
  char_list      = jsonencode(local.documents["dashboard"].charts)
}
