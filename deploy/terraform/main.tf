# Everything that `s.yaml` and the files of deploy/ say, made by one `terraform apply`. This module has no values of its
# own: it reads these files and puts the variables in their places.

data "alicloud_account" "current" {}

locals {
  account    = data.alicloud_account.current.id
  serverless = yamldecode(file("${path.module}/../../s.yaml"))

  # The store of s.yaml, oss://BUCKET/PREFIX, unless there is one of the module's own.
  given = regexall("^oss://([^/]+)/(.*[^/])/?$", local.serverless.vars.store)
  store = var.store != null ? var.store : length(local.given) == 0 ? null : {
    bucket = local.given[0][0]
    prefix = local.given[0][1]
    create = false
    region = local.serverless.vars.storeRegion
  }

  # What ${vars.NAME} stands for in the files.
  name     = coalesce(var.name, local.serverless.vars.functionName)
  schedule = { for name, schedule in var.schedules : name => schedule if schedule != null }
  values = merge(
    { for name, value in local.serverless.vars : name => value == null ? "" : tostring(value) },
    {
      region       = var.region
      functionName = local.name
      role         = local.name
      eventRule    = local.name
      actionPolicy = local.action_policy
      logProject   = coalesce(var.log_project, "${local.name}-${local.account}-${var.region}")
      tags         = jsonencode(var.tags)
      store        = local.store == null ? "" : "oss://${local.store.bucket}/${local.store.prefix}"
      storeBucket  = try(local.store.bucket, "")
      storePrefix  = try(local.store.prefix, "")
      storeRegion  = try(local.store.region, null) == null ? "" : local.store.region
      instances    = join(", ", var.instance_ids)
    },
    { for name, value in {
      instancePattern      = var.instance_pattern
      nightlyRetentionDays = var.retention_days.nightly
      hourlyRetentionDays  = var.retention_days.hourly
      maxAgeMinutes        = var.max_age_minutes
      verify               = var.verify
      copy                 = var.copy
      copyRetentionDays    = var.copy_retention_days
      download             = var.download
      eventBus             = var.event_bus
      eventSource          = var.event_source
      eventType            = var.event_type
    } : name => tostring(value) if value != null },
    local.schedule,
  )
  escaped = { for name, value in local.values : name => regex("^\"(.*)\"$", jsonencode(value))[0] }

  files = [
    "role-policy", "role-policy-store", "store-lifecycle", "role-trust-policy", "caller-policy", "log-index", "dashboard", "alerts", "queries", "event-pattern",
    "event-targets",
  ]
  texts = merge(
    { for name in local.files : name => file("${path.module}/../${name}.json") },
    { function = jsonencode(local.serverless.resources.backup.props) },
  )

  # The files with their placeholders filled in. Each piece after the first begins with a variable's name and a brace.
  documents = {
    for document, text in local.texts : document => jsondecode(join("", [
      for index, piece in split("$${vars.", replace(replace(text, "$${account}", local.account), "$${config('AccountID')}", local.account)) :
      index == 0 ? piece : join("", [
        local.escaped[regex("^\\w+", piece)],
        substr(piece, length(regex("^\\w+", piece)) + 1, -1),
      ])
    ]))
  }
  function = local.documents["function"]
  triggers = { for trigger in local.function.triggers : trigger.triggerName => trigger }
}
