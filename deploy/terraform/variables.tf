# A variable whose default is null takes its value from s.yaml, so both ways of deploying have the same defaults.

# What is backed up

variable "region" {
  type        = string
  description = "Region of the function and of the instances. The provider must have the same one."

  validation {
    condition     = can(regex("^[a-z]{2}-[a-z0-9-]+$", var.region))
    error_message = "The region must be an ID such as cn-hangzhou."
  }
}

variable "tags" {
  type        = map(string)
  description = "The nightly backup and the audit take all instances of the region that have all these tags."

  validation {
    condition     = length(var.tags) >= 1 && length(var.tags) <= 5 && !contains(keys(var.tags), "")
    error_message = "Give 1 to 5 tags, each with a key: R-KVStore selects by 5 at most."
  }
}

variable "instance_ids" {
  type        = list(string)
  default     = []
  description = "Instances that are backed up every hour as well. Without one there is no hourly timer."

  validation {
    condition     = alltrue([for id in var.instance_ids : can(regex("^[^\\s,\"\\\\]*r-[a-z0-9]+$", id))])
    error_message = "Each must be an ID such as r-bp1zxszhcgatnx01, REGION/r-bp1zxszhcgatnx01, or an ARN."
  }
}

variable "instance_pattern" {
  type        = string
  default     = null
  description = "Instances that the role and BACKUP_ALLOW allow, with * and ?. All: r-*"

  validation {
    condition     = var.instance_pattern == null || can(regex("^[A-Za-z0-9*?-]+$", var.instance_pattern))
    error_message = "The pattern must be one instance ID, with * and ? for any characters."
  }
}

# When, and for how long

variable "schedules" {
  type = object({
    nightly = optional(string)
    hourly  = optional(string)
    audit   = optional(string)
  })
  default     = {}
  nullable    = false
  description = "Times of the three timers: CRON_TZ=Asia/Shanghai and second minute hour day month weekday, or @every."

  validation {
    condition = alltrue([
      for schedule in values(var.schedules) : schedule == null ||
      can(regex("^((CRON_TZ=\\S+ )?\\S+( \\S+){5}|@every [0-9]+[mh])$", schedule))
    ])
    error_message = "Each must have six fields, such as CRON_TZ=Asia/Shanghai 0 0 2 * * *, or be @every 90m."
  }
}

variable "retention_days" {
  type = object({
    nightly = optional(number)
    hourly  = optional(number)
  })
  default     = {}
  nullable    = false
  description = "Days for which the backups of the timers are kept: 7 to 730, or -1 for ever. Cloud-native instances only."

  validation {
    condition = alltrue([
      for days in values(var.retention_days) : days == null || try(days == -1 || (days >= 7 && days <= 730), false)
    ])
    error_message = "Backups are kept for 7 to 730 days, or for ever (-1)."
  }
}

variable "max_age_minutes" {
  type        = number
  default     = null
  description = "The audit reports an instance whose newest backup is older than this."

  validation {
    condition     = var.max_age_minutes == null || try(var.max_age_minutes > 0, false)
    error_message = "The age must be more than 0 minutes."
  }
}

# The function

variable "name" {
  type        = string
  default     = null
  description = "Name of the function, its role, policy, rule and action policy. RAM's names hold for all regions, so a second region needs another name."

  validation {
    condition     = var.name == null || can(regex("^[a-z][a-z0-9-]{1,30}[a-z0-9]$", var.name))
    error_message = "The name must have 3 to 32 lower-case letters, digits and hyphens, and begin with a letter."
  }
}

variable "package" {
  type        = string
  default     = null
  description = "Path of the function's package, as `make package` builds it. Default: build/package.zip of this repository."
}

variable "timeout" {
  type        = number
  default     = null
  description = "Seconds that one invocation may take."

  validation {
    condition     = var.timeout == null || try(var.timeout >= 120 && var.timeout <= 86400, false)
    error_message = "The time-out must be 120 to 86400 seconds; a shorter one leaves no time for a watch."
  }
}

variable "cpu" {
  type        = number
  default     = null
  description = "vCPUs, in steps of 0.05. Memory in GB is 1 to 4 times as much."

  validation {
    condition     = var.cpu == null || try(var.cpu >= 0.05 && var.cpu <= 16, false)
    error_message = "The function takes 0.05 to 16 vCPUs."
  }
}

variable "memory_size" {
  type        = number
  default     = null
  description = "Memory in MB, in steps of 64."

  validation {
    condition     = var.memory_size == null || try(var.memory_size >= 128 && var.memory_size % 64 == 0, false)
    error_message = "The memory must be at least 128 MB, in steps of 64 MB."
  }
}

variable "environment" {
  type        = map(string)
  default     = {}
  nullable    = false
  description = "Further settings of docs/reference.md, such as BACKUP_MAX_INSTANCES; they replace those of s.yaml."

  validation {
    condition     = alltrue([for name in keys(var.environment) : startswith(name, "BACKUP_")])
    error_message = "The function's settings begin with BACKUP_."
  }
}

variable "vpc" {
  type = object({
    vpc_id            = string
    vswitch_ids       = list(string)
    security_group_id = string
  })
  default     = null
  description = "Sends the function's calls through this VPC, to the VPC's own endpoints, and not over the Internet."
}

variable "on_failure_queue" {
  type        = string
  default     = null
  description = "Name of an existing MNS queue of the region for events that failed after all retries."

  validation {
    condition     = var.on_failure_queue == null || can(regex("^[A-Za-z0-9-]+$", var.on_failure_queue))
    error_message = "Give the queue's name, not its address."
  }
}

# Proof that backups can be read, and copies

variable "verify" {
  type        = string
  default     = null
  description = "What every request asks for that does not say: none, quick (the first and the last bytes of each file are read) or full (every byte; needs a store)."

  validation {
    condition     = var.verify == null || contains(["none", "quick", "full"], coalesce(var.verify, "none"))
    error_message = "Choose none, quick or full."
  }
}

variable "copy" {
  type        = bool
  default     = null
  description = "Whether each backup is read whole and copied into the store."
}

variable "store" {
  type = object({
    bucket = string
    prefix = optional(string, "redis-backup")
    create = optional(bool, false)
    region = optional(string)
  })
  default     = null
  description = "Where copies and receipts are kept: a prefix of an OSS bucket, which exists (in `region`, if it is another one) or is made (`create`): private, encrypted, with a rule that deletes copies."

  validation {
    condition = var.store == null || try(
      can(regex("^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$", var.store.bucket)) &&
      can(regex("^[A-Za-z0-9._=-]+(/[A-Za-z0-9._=-]+)*$", var.store.prefix)) &&
      !(var.store.create && var.store.region != null), false
    )
    error_message = "Give a bucket's name and a prefix such as redis/prod. A bucket can be made in the provider's region alone."
  }
}

variable "copy_retention_days" {
  type        = number
  default     = null
  description = "Days for which copies and receipts are kept in a bucket that the module makes."

  validation {
    condition     = var.copy_retention_days == null || try(var.copy_retention_days >= 1, false)
    error_message = "Copies are kept for 1 day or more."
  }
}

variable "download" {
  type        = string
  default     = null
  description = "How backups are read: intranet (free, through `vpc`, instances of this region alone) or internet (billed)."

  validation {
    condition     = var.download == null || contains(["intranet", "internet"], coalesce(var.download, "intranet"))
    error_message = "Choose intranet or internet."
  }
}

# Logs and alerts

variable "log_project" {
  type        = string
  default     = null
  description = "Name of the log project to make. Default: NAME-ACCOUNT-REGION, since it must be unique across all accounts of the region."

  validation {
    condition     = var.log_project == null || can(regex("^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$", var.log_project))
    error_message = "The name must have 3 to 63 lower-case letters, digits and hyphens."
  }
}

variable "log_retention_days" {
  type        = number
  default     = 180
  nullable    = false
  description = "Days for which records are kept; 3650 means for ever."

  validation {
    condition     = var.log_retention_days >= 7 && var.log_retention_days <= 3650
    error_message = "Records are kept for 7 to 3650 days; the alerts look back further than one."
  }
}

variable "alerts" {
  type        = bool
  default     = true
  nullable    = false
  description = "Whether to make the alerts of deploy/alerts.json."
}

variable "alert_email" {
  type        = string
  default     = null
  description = "Address that the alerts are sent to."

  validation {
    condition     = var.alert_email == null || can(regex("^[^@\\s]+@[^@\\s]+$", var.alert_email))
    error_message = "Give one e-mail address."
  }
}

variable "alert_webhook" {
  type        = string
  default     = null
  sensitive   = true # chat robots have their token in it
  description = "Address that the alerts are posted to. It is in Terraform's state as it is."

  validation {
    condition     = var.alert_webhook == null || can(regex("^https?://\\S+$", var.alert_webhook))
    error_message = "Give an address that begins with https://."
  }
}

variable "alert_webhook_type" {
  type        = string
  default     = "custom"
  nullable    = false
  description = "What answers at alert_webhook: custom, dingtalk, wechat, lark or slack."

  validation {
    condition     = contains(["custom", "dingtalk", "wechat", "lark", "slack"], var.alert_webhook_type)
    error_message = "The type must be custom, dingtalk, wechat, lark or slack."
  }
}

variable "alert_action_policy" {
  type        = string
  default     = null
  description = "ID of an existing action policy of Log Service, in place of alert_email and alert_webhook."
}

# EventBridge

variable "event_bus_enabled" {
  type        = bool
  default     = true
  nullable    = false
  description = "Whether to make a bus, and a rule that sends a pipeline's events to the function."
}

variable "event_bus" {
  type        = string
  default     = null
  description = "Name of that bus."

  validation {
    condition     = var.event_bus == null || can(regex("^[A-Za-z0-9_-]{1,127}$", var.event_bus)) && var.event_bus != "default"
    error_message = "The name must have letters, digits, - and _. The bus default is Alibaba Cloud's own."
  }
}

variable "event_source" {
  type        = string
  default     = null
  description = "The source of events that the rule takes."
}

variable "event_type" {
  type        = string
  default     = null
  description = "The type of events that the rule takes."
}

variable "maintenance_trigger" {
  type        = bool
  default     = true
  nullable    = false
  description = "Whether a minor version upgrade that Alibaba Cloud announces makes a backup."
}

variable "service_linked_role" {
  type        = bool
  default     = true
  nullable    = false
  description = "Whether to make AliyunServiceRoleForEventBridgeSendToFC, without which no event arrives. Set it to false if the account has this role."
}
