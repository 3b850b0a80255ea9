# The smallest call: every instance of one region that has the tags is backed up once a night.
#
#   make package
#   cd deploy/terraform/examples/minimal && terraform init
#   terraform apply -var region=cn-hangzhou -var 'tags={env="production"}' -var alert_email=dba@example.com

terraform {
  required_providers {
    alicloud = {
      source = "aliyun/alicloud"
    }
  }
}

variable "region" {
  type = string
}

variable "tags" {
  type = map(string)
}

variable "alert_email" {
  type    = string
  default = null
}

provider "alicloud" {
  region = var.region
}

provider "alicloud" {
  alias  = "records"
  region = "cn-heyuan" # where Log Service keeps action policies
}

module "redis_backup" {
  source      = "../.."
  region      = var.region
  tags        = var.tags
  alert_email = var.alert_email

  providers = {
    alicloud         = alicloud
    alicloud.records = alicloud.records
  }
}

output "saved_searches" {
  value     = module.redis_backup.saved_searches
  sensitive = true # not a secret, but too long for the screen
}

output "log_project" {
  value = module.redis_backup.log_project
}

output "caller_policy" {
  value = module.redis_backup.caller_policy
}

output "next_steps" {
  value = module.redis_backup.next_steps
}

output "store_lifecycle_rule" {
  value = module.redis_backup.store_lifecycle_rule
}
