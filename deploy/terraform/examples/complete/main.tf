# Every variable of the module, each with a value of its own.

terraform {
  required_providers {
    alicloud = {
      source = "aliyun/alicloud"
    }
  }

  # The state holds the package and the webhook's address: keep it where few can read it.
  # backend "oss" {
  #   bucket  = "terraform-state"
  #   prefix  = "redis-backup"
  #   region  = "cn-shanghai"
  #   encrypt = true
  # }
}

variable "alert_webhook" {
  type        = string
  sensitive   = true
  description = "export TF_VAR_alert_webhook=https://…"
}

locals {
  region = "cn-shanghai"
}

provider "alicloud" {
  region = local.region
}

provider "alicloud" {
  alias  = "records"
  region = "cn-heyuan" # where Log Service keeps action policies
}

module "redis_backup" {
  source = "../.."
  providers = {
    alicloud         = alicloud
    alicloud.records = alicloud.records
  }

  # What is backed up
  region           = local.region
  tags             = { env = "production", team = "payments" }
  instance_ids     = ["r-bp1zxszhcgatnx01", "r-bp1cloudnative01"] # every hour as well
  instance_pattern = "r-bp1*"

  # When, and for how long
  schedules = {
    nightly = "CRON_TZ=Asia/Shanghai 0 30 1 * * *"
    hourly  = "CRON_TZ=Asia/Shanghai 0 20 * * * *"
    audit   = "CRON_TZ=Asia/Shanghai 0 50 * * * *"
  }
  retention_days  = { nightly = 60, hourly = 14 }
  max_age_minutes = 1500

  # The function
  name             = "redis-backup-shanghai"
  package          = "${path.module}/../../../../build/package.zip"
  timeout          = 900
  cpu              = 1
  memory_size      = 2048
  environment      = { BACKUP_MAX_INSTANCES = "5000" }
  on_failure_queue = "redis-backup-failed"
  vpc = {
    vpc_id            = "vpc-bp1aevy8sofi8mh1q1234"
    vswitch_ids       = ["vsw-bp1a6yf1l2c2gx9vh1234"]
    security_group_id = "sg-bp18hj1wtxgy3b0t1234"
  }

  # Proof that backups can be read, and copies
  verify = "full"
  copy   = true
  store = {
    bucket = "payments-redis-copies"
    prefix = "redis/shanghai"
    create = true # or false, for one that exists; in another region: region = "cn-beijing"
  }
  copy_retention_days = 365
  download            = "intranet"

  # Logs and alerts
  log_project         = "payments-redis-backup"
  log_retention_days  = 365
  alerts              = true
  alert_email         = "dba@example.com"
  alert_webhook       = var.alert_webhook
  alert_webhook_type  = "dingtalk"
  alert_action_policy = null # or an existing one, in place of the two

  # EventBridge
  event_bus_enabled   = true
  event_bus           = "payments-deployments"
  event_source        = "payments.pipeline"
  event_type          = "deploy:Release:Pending"
  maintenance_trigger = true
  service_linked_role = false # the account has it
}

output "caller_policy" {
  value = module.redis_backup.caller_policy
}

output "saved_searches" {
  value     = module.redis_backup.saved_searches
  sensitive = true # not a secret, but too long for the screen
}

output "next_steps" {
  value = module.redis_backup.next_steps
}

output "store_lifecycle_rule" {
  value = module.redis_backup.store_lifecycle_rule
}
