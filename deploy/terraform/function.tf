locals {
  package = coalesce(var.package, "${path.module}/../../build/package.zip")

  on_failure = [
    for queue in var.on_failure_queue[*] : "acs:mns:${var.region}:${local.account}:/queues/${queue}/messages"
  ]
  # In a VPC the public endpoints are out of reach.
  endpoints = var.vpc == null ? {} : {
    BACKUP_ENDPOINT    = "r-kvstore-vpc.{region}.aliyuncs.com"
    BACKUP_FC_ENDPOINT = "{account}.{region}-internal.fc.aliyuncs.com"
  }
  # What is empty in s.yaml is not set.
  environment = {
    for name, value in merge(local.function.environmentVariables, local.endpoints, var.environment) : name => value
    if value != ""
  }
  cpu         = coalesce(var.cpu, local.function.cpu)
  memory_size = coalesce(var.memory_size, local.function.memorySize)

  # Without instances the hourly timer would have nothing to back up.
  timers = toset([
    for trigger in local.serverless.resources.backup.props.triggers : trigger.triggerName
    if trigger.triggerType == "timer" && (trigger.triggerName != "hourly" || length(var.instance_ids) > 0)
  ])
}

resource "alicloud_fcv3_function" "backup" {
  function_name         = local.name
  description           = local.function.description
  runtime               = local.function.runtime
  handler               = local.function.handler
  role                  = alicloud_ram_role.function.arn
  timeout               = coalesce(var.timeout, local.function.timeout)
  cpu                   = local.cpu
  memory_size           = local.memory_size
  disk_size             = local.function.diskSize
  internet_access       = var.vpc == null && local.function.internetAccess
  environment_variables = local.environment

  code {
    # The package itself, not an object of OSS: nothing else has to exist, and a new package is a change that is seen.
    # It is not a secret, but would fill the screen with megabytes.
    zip_file = sensitive(fileexists(local.package) ? filebase64(local.package) : "")
  }

  instance_lifecycle_config {
    initializer {
      handler = local.function.instanceLifecycleConfig.initializer.handler
      timeout = local.function.instanceLifecycleConfig.initializer.timeout
    }
  }

  log_config {
    project                 = alicloud_log_project.backup.project_name
    logstore                = alicloud_log_store.backup.logstore_name
    enable_request_metrics  = local.function.logConfig.enableRequestMetrics
    enable_instance_metrics = local.function.logConfig.enableInstanceMetrics
    log_begin_rule          = local.function.logConfig.logBeginRule
  }

  dynamic "vpc_config" {
    for_each = var.vpc[*]
    content {
      vpc_id            = vpc_config.value.vpc_id
      vswitch_ids       = vpc_config.value.vswitch_ids
      security_group_id = vpc_config.value.security_group_id
    }
  }

  lifecycle {
    precondition {
      condition     = fileexists(local.package)
      error_message = "There is no package at ${local.package}. Run `make package` in the repository first."
    }
    precondition {
      condition     = local.store != null || !(local.values.verify == "full" || local.values.copy == "true")
      error_message = "verify = \"full\" and copy need a store."
    }
    precondition {
      condition     = local.memory_size / 1024 >= local.cpu && local.memory_size / 1024 <= 4 * local.cpu
      error_message = "Memory in GB must be 1 to 4 times cpu: ${local.memory_size} MB and ${local.cpu} vCPU do not fit."
    }
    postcondition {
      condition     = strcontains(self.function_arn, ":${var.region}:")
      error_message = "The provider's region is not ${var.region}. Set `region` in the provider to the module's region."
    }
  }

  # Its first invocation needs them.
  depends_on = [alicloud_ram_role_policy_attachment.function, alicloud_sls_index.backup, alicloud_oss_bucket.store]
}

resource "alicloud_fcv3_async_invoke_config" "backup" {
  function_name                  = alicloud_fcv3_function.backup.function_name
  qualifier                      = "LATEST"
  async_task                     = local.function.asyncInvokeConfig.asyncTask
  max_async_retry_attempts       = local.function.asyncInvokeConfig.maxAsyncRetryAttempts
  max_async_event_age_in_seconds = local.function.asyncInvokeConfig.maxAsyncEventAgeInSeconds

  dynamic "destination_config" {
    for_each = local.on_failure
    content {
      on_failure {
        destination = destination_config.value
      }
    }
  }
}

resource "alicloud_fcv3_trigger" "timer" {
  for_each       = local.timers
  function_name  = alicloud_fcv3_function.backup.function_name
  qualifier      = "LATEST"
  trigger_type   = "timer"
  trigger_name   = each.key
  description    = local.triggers[each.key].description
  trigger_config = jsonencode(local.triggers[each.key].triggerConfig)

  depends_on = [alicloud_fcv3_async_invoke_config.backup]
}
