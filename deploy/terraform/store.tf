locals {
  bucket = local.store == null ? [] : local.store.create ? [local.store.bucket] : []
}

# Copies outlive the instances. `terraform destroy` does not delete a bucket in which there is anything.
resource "alicloud_oss_bucket" "store" {
  for_each = toset(local.bucket)
  bucket   = each.key

  server_side_encryption_rule {
    sse_algorithm = "AES256"
  }

  lifecycle_rule {
    id      = local.documents["store-lifecycle"].Rule.ID
    prefix  = local.documents["store-lifecycle"].Rule.Prefix
    enabled = local.documents["store-lifecycle"].Rule.Status == "Enabled"
    expiration {
      days = local.documents["store-lifecycle"].Rule.Expiration.Days
    }
    abort_multipart_upload {
      days = local.documents["store-lifecycle"].Rule.AbortMultipartUpload.Days
    }
  }
}

resource "alicloud_oss_bucket_public_access_block" "store" {
  for_each            = alicloud_oss_bucket.store
  bucket              = each.value.bucket
  block_public_access = true
}
