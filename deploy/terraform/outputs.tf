locals {
  function_options = "--function ${local.name} --region ${var.region} --account ${local.account}"
  tag_options      = join(" ", [for key, value in var.tags : "--tag '${replace("${key}=${value}", "'", "'\\''")}'"])
}

output "function_arn" {
  description = "ARN of the function."
  value       = alicloud_fcv3_function.backup.function_arn
}

output "role_arn" {
  description = "ARN of the function's role."
  value       = alicloud_ram_role.function.arn
}

output "log_project" {
  description = "The log project with the records of all backups."
  value       = alicloud_log_project.backup.project_name
}

output "log_store" {
  description = "The log store with the records of all backups."
  value       = alicloud_log_store.backup.logstore_name
}

output "event_bus" {
  description = "The bus that pipelines put their events on, or null."
  value       = one(alicloud_event_bridge_event_bus.pipeline[*].event_bus_name)
}

output "store" {
  description = "Where copies and receipts are kept, or null."
  value       = local.store == null ? null : local.values.store
}

output "store_lifecycle_rule" {
  description = "The rule that deletes copies, in JSON: add it to a bucket that the module does not make. Null without a store."
  value       = local.store == null ? null : jsonencode(local.documents["store-lifecycle"])
}

output "caller_policy" {
  description = "What a pipeline needs to call the function, as a RAM policy in JSON."
  value       = jsonencode(local.documents["caller-policy"])
}

output "saved_searches" {
  description = "The saved searches of deploy/queries.json, one JSON object a line. Terraform has no resource for them."
  value       = join("\n", [for query in local.documents["queries"] : jsonencode(query)])
}

output "next_steps" {
  description = "What to run next."
  value       = <<-TEXT
    # redis-backup is .venv/bin/redis-backup of the repository; docs/recipes.md shows how pipelines install it.
    # 1. Check the account, permissions, settings, and the instances that have the tags. No backup is started.
    redis-backup --check ${local.tag_options} ${local.function_options}

    # 2. The first backup. --dry-run only shows what it would do.
    redis-backup ${local.tag_options} ${local.function_options} --wait 30m --reason "first backup"

    # 3. The saved searches, once, if you want them. It needs the aliyun CLI.
    terraform -chdir='${abspath(path.root)}' output -raw saved_searches | grep '^{' | while IFS= read -r search; do
      aliyun sls CreateSavedSearch --region ${var.region} --project ${local.values.logProject} --body "$search"; done
  TEXT
}
