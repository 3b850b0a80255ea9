# A pipeline's events arrive on a bus of their own, by a rule whose target is the function. There is no trigger for
# them: with one, each event would arrive twice. Alibaba Cloud's events arrive on the bus `default`, where Function
# Compute makes the rule of its trigger itself.

resource "alicloud_event_bridge_service_linked_role" "function" {
  count        = var.service_linked_role && (var.event_bus_enabled || var.maintenance_trigger) ? 1 : 0
  product_name = "AliyunServiceRoleForEventBridgeSendToFC"
}

resource "alicloud_event_bridge_event_bus" "pipeline" {
  count          = var.event_bus_enabled ? 1 : 0
  event_bus_name = local.values.eventBus
  description    = "Events of deployment pipelines"
}

resource "alicloud_event_bridge_rule" "pipeline" {
  count          = var.event_bus_enabled ? 1 : 0
  event_bus_name = alicloud_event_bridge_event_bus.pipeline[0].event_bus_name
  rule_name      = local.values.eventRule
  description    = "Sends a pipeline's event before a deployment to the function ${local.name}"
  filter_pattern = jsonencode({ source = [local.values.eventSource], type = [local.values.eventType] })
  status         = "ENABLE"

  targets {
    target_id           = local.values.functionName
    type                = "acs.fc.function"
    endpoint            = "acs:fc:${var.region}:${local.account}:functions/${alicloud_fcv3_function.backup.function_name}"
    push_retry_strategy = "EXPONENTIAL_DECAY_RETRY" # for a day; a repeat of an event starts no second backup

    param_list {
      resource_key = "functionName"
      form         = "CONSTANT"
      value        = alicloud_fcv3_function.backup.function_name
    }
    param_list {
      resource_key = "Qualifier"
      form         = "CONSTANT"
      value        = "LATEST"
    }
    param_list {
      resource_key = "Body"
      form         = "ORIGINAL" # the whole CloudEvent: without its time each delivery would be a new request
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
