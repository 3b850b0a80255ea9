resource "alicloud_ram_role" "function" {
  role_name                   = local.values.role
  description                 = "What the function ${local.name} may do"
  assume_role_policy_document = jsonencode(local.documents["role-trust-policy"])
}

resource "alicloud_ram_policy" "function" {
  policy_name = local.values.role
  description = "What the function ${local.name} may do"
  policy_document = jsonencode({
    Version = local.documents["role-policy"].Version
    Statement = concat(
      local.documents["role-policy"].Statement,
      [for statement in local.documents["role-policy-store"].Statement : statement if local.store != null],
      [
        for queue in local.on_failure : {
          Effect   = "Allow"
          Action   = "mns:SendMessage"
          Resource = queue
        }
      ],
    )
  })
  rotate_strategy = "DeleteOldestNonDefaultVersionWhenLimitExceeded" # a policy has five versions at most
  force           = true                                             # destroy deletes its older versions, too
}

resource "alicloud_ram_role_policy_attachment" "function" {
  role_name   = alicloud_ram_role.function.role_name
  policy_name = alicloud_ram_policy.function.policy_name
  policy_type = "Custom"
}
