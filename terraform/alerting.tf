variable "alert_emails" {
  description = "Mail addresses that get alerts."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for address in var.alert_emails : can(regex("^[^@ ]+@[^@ ]+$", address))])
    error_message = "Mail addresses."
  }
}

variable "notification_channels" {
  description = "Existing notification channels that get alerts too (chat, pager), projects/P/notificationChannels/N."
  type        = list(string)
  default     = []
  nullable    = false
}

variable "alert_thresholds" {
  description = "Thresholds of alerts. Rates are shares of the uploads that ended within an hour, where these were at least `uploads`."
  type = object({
    uploads             = optional(number, 20)
    error_rate          = optional(number, 0.05)
    fallback_rate       = optional(number, 0.10)
    gpu_use             = optional(number, 0.20)
    gpu_memory          = optional(number, 0.85)
    times_expected      = optional(number, 2)
    oldest_work_minutes = optional(number, 30)
  })
  default  = {}
  nullable = false

  validation {
    condition = alltrue([
      for share in [
        var.alert_thresholds.error_rate, var.alert_thresholds.fallback_rate, var.alert_thresholds.gpu_use,
        var.alert_thresholds.gpu_memory,
      ] : share > 0 && share < 1
    ])
    error_message = "Rates and use are shares, above 0 and below 1."
  }
}

resource "google_monitoring_notification_channel" "email" {
  for_each = toset(var.alert_emails)

  project      = var.project
  display_name = each.key
  type         = "email"

  labels = {
    email_address = each.key
  }

  depends_on = [google_project_service.api]
}

locals {
  channels = concat([for channel in google_monitoring_notification_channel.email : channel.id], var.notification_channels)

  # Ratios go over functions and jobs, which are two resource types to Monitoring: only PromQL can add them.
  query_alerts = merge(local.upload_alerts, local.has_gpu_job ? local.gpu_alerts : {})

  upload_alerts = {
    error_rate = {
      title    = "More than ${var.alert_thresholds.error_rate * 100} % of the uploads fail"
      query    = "(${local.per_hour.failed}) / (${local.per_hour.ended}) > ${var.alert_thresholds.error_rate} and (${local.per_hour.ended}) >= ${var.alert_thresholds.uploads}"
      duration = "300s"
      help     = "See `reason` and `failure_kind` of the outcomes, and docs/operations.md, by symptom."
    }
    fallback_rate = {
      title    = "More than ${var.alert_thresholds.fallback_rate * 100} % of the uploads fall back to another engine"
      query    = "(${local.per_hour.fallbacks}) / (${local.per_hour.ended}) > ${var.alert_thresholds.fallback_rate} and (${local.per_hour.ended}) >= ${var.alert_thresholds.uploads}"
      duration = "300s"
      help     = "Look for `launch failed` and `deepgram failed` in the function's log, and at health/gpu.json in the state bucket."
    }
    times_expected = {
      title    = "Uploads take more than ${var.alert_thresholds.times_expected} times as long as predicted"
      query    = "${local.per_hour.times_expected} > ${var.alert_thresholds.times_expected}"
      duration = "300s"
      help     = "Median of an hour. The queue may be too long for the executions that may run (max_parallel_tasks), instances may start slowly, or speeds were learned on other audio."
    }
  }

  # A condition on a metric that has no data in the project yet is refused unless its validation is off, which only
  # PromQL allows: before the first GPU task there is none.
  gpu_alerts = {
    gpu_use = {
      title    = "Low GPU utilization"
      query    = "${format(local.gpu_quantile, "0.5", "utilizations")} < ${var.alert_thresholds.gpu_use}"
      duration = "900s"
      help     = "The GPU is paid for and idle: decoding may not keep up (DECODER_CHILDREN), or batches are small (GPU_BATCH_SIZE, BATCH_AUDIO_SECONDS)."
    }
    gpu_memory = {
      title    = "High GPU memory utilization"
      query    = "${format(local.gpu_quantile, "0.99", "memory_utilizations")} > ${var.alert_thresholds.gpu_memory}"
      duration = "300s"
      help     = "Lower BATCH_AUDIO_SECONDS or GPU_MEMORY_LIMIT_GB before batches fail and are halved."
    }
  }

  gpu_quantile = "histogram_quantile(%s, sum by (le) (increase(run_googleapis_com:container_gpu_%s_bucket{monitored_resource=\"cloud_run_job\",job_name=\"${local.gpu_job_name}\"}[5m])))"

  threshold_alerts = {
    dead_letters = {
      title      = "Dead letters"
      filter     = "metric.type = \"pubsub.googleapis.com/subscription/num_undelivered_messages\" AND resource.type = \"pubsub_subscription\" AND resource.labels.subscription_id = monitoring.regex.full_match(\"${var.topic_prefix}-(work|results)-dead-kept\")"
      aligner    = "ALIGN_MAX"
      comparison = "COMPARISON_GT"
      threshold  = 0
      duration   = "0s"
      help       = "Pull them from the -dead-kept subscriptions; their attributes say why they were not delivered."
    }
    oldest_work = {
      title      = "Work has been queued for more than ${var.alert_thresholds.oldest_work_minutes} minutes"
      filter     = "metric.type = \"pubsub.googleapis.com/subscription/oldest_unacked_message_age\" AND resource.type = \"pubsub_subscription\" AND resource.labels.subscription_id = monitoring.regex.full_match(\"${var.topic_prefix}-(work|work-cpu)-job\")"
      aligner    = "ALIGN_MAX"
      comparison = "COMPARISON_GT"
      threshold  = var.alert_thresholds.oldest_work_minutes * 60 + coalesce(var.function_settings.gather_seconds, 0)
      duration   = "60s"
      help       = "No execution runs or starts: check quota, image, and the circuit breaker in health/gpu.json. Where executions run, more is queued than they do in this time: max_parallel_tasks."
    }
    budget = {
      title      = "Half, 80 % or all of the month's budget is spent or reserved"
      filter     = "metric.type = \"pubsub.googleapis.com/topic/send_request_count\" AND resource.type = \"pubsub_topic\" AND resource.labels.topic_id = \"${google_pubsub_topic.this["alerts"].name}\""
      aligner    = "ALIGN_DELTA"
      comparison = "COMPARISON_GT"
      threshold  = 0
      duration   = "0s"
      help       = "The message in the alerts topic's -kept subscription has the share. At 100 % uploads are rejected."
    }
  }
}

resource "google_monitoring_alert_policy" "query" {
  for_each = local.query_alerts

  project               = var.project
  display_name          = "${var.name}: ${each.value.title}"
  combiner              = "OR"
  notification_channels = local.channels
  user_labels           = var.labels

  conditions {
    display_name = each.value.title

    condition_prometheus_query_language {
      query               = each.value.query
      duration            = each.value.duration
      evaluation_interval = "60s"

      # A metric out of the logs is known only after its first line, a GPU's only after the first task.
      disable_metric_validation = true
    }
  }

  documentation {
    content   = each.value.help
    mime_type = "text/markdown"
  }

  depends_on = [google_logging_metric.count, google_logging_metric.distribution]
}

resource "google_monitoring_alert_policy" "threshold" {
  for_each = local.threshold_alerts

  project               = var.project
  display_name          = "${var.name}: ${each.value.title}"
  combiner              = "OR"
  notification_channels = local.channels
  user_labels           = var.labels

  conditions {
    display_name = each.value.title

    condition_threshold {
      filter          = each.value.filter
      comparison      = each.value.comparison
      threshold_value = each.value.threshold
      duration        = each.value.duration

      aggregations {
        alignment_period   = "300s"
        per_series_aligner = each.value.aligner
      }
    }
  }

  documentation {
    content   = each.value.help
    mime_type = "text/markdown"
  }

  depends_on = [google_project_service.api]
}
