terraform {
  required_version = ">= 1.5"

  required_providers {
    alicloud = {
      source  = "aliyun/alicloud"
      version = ">= 1.260.0, < 2.0.0" # alicloud_sls_index
      # Log Service keeps action policies in its main region, whatever the region of the project: a second provider.
      configuration_aliases = [alicloud.records]
    }
  }
}
