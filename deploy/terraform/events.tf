# A pipeline's events arrive on a bus of their own, by a rule whose target is the function. There is no trigger for
# them: with one, each event would arrive twice. Alibaba Cloud's events arrive on the bus `default`, where Function
# Compute makes the rule of its trigger itself.

locals {
  has_event_bus = var.event_bus_enabled && local.values.eventBus != ""
}

resource "alicloud_event_bridge_service_linked_role" "function" {
  count        = var.service_linked_role && (local.has_event_bus || var.maintenance_trigger) ? 1 : 0
  product_name = "AliyunServiceRoleForEventBridgeSendToFC"
}

resource "alicloud_event_bridge_event_bus" "pipeline" {
  count          = local.has_event_bus ? 1 : 0
  event_bus_name = local.values.eventBus
  description    = "Events of deployment pipelines"
}

resource "alicloud_event_bridge_rule" "pipeline" {
  count          = local.has_event_bus ? 1 : 0
  event_bus_name = alicloud_event_bridge_event_bus.pipeline[0].event_bus_name
  rule_name      = local.values.eventRule
  description    = "Sends a pipeline's event before a deployment to the function ${local.name}"
  filter_pattern = jsonencode(local.documents["event-pattern"])
  status         = "ENABLE"

  dynamic "targets" {
    for_each = local.documents["event-targets"]
    content {
      target_id           = targets.value.Id
      type                = targets.value.Type
      endpoint            = targets.value.Endpoint
      push_retry_strategy = targets.value.PushRetryStrategy

      dynamic "param_list" {
        for_each = targets.value.ParamList
        content {
          resource_key = param_list.value.ResourceKey
          form         = param_list.value.Form
          value        = try(param_list.value.Value, null)
        }
      }
    }
  }

  depends_on = [alicloud_event_bridge_service_linked_role.function, alicloud_fcv3_async_invoke_config.backup]
}

resource "alicloud_fcv3_trigger" "maintenance" {
  count          = var.maintenance_trigger ? 1 : 0
  function_name  = alicloud_fcv3_function.backup.function_name
  qualifier      = "LATEST"
  trigger_type   = "eventbridge"
  trigger_name   = "maintenance"
  description    = local.triggers["maintenance"].description
  trigger_config = jsonencode(local.triggers["maintenance"].triggerConfig)

  depends_on = [alicloud_event_bridge_service_linked_role.function, alicloud_fcv3_async_invoke_config.backup]
}
