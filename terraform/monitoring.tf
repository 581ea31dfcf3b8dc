# Metrics out of the logs, so that a deployment needs no collector.

locals {
  # By name: a deployment without jobs has these metrics, too.
  from_jobs = [for device in ["gpu", "cpu"] : "resource.labels.job_name = \"${var.name}-${device}\""]
  from_functions = [
    for function in google_cloudfunctions2_function.this : "resource.labels.service_name = \"${function.name}\""
  ]

  ended_filter           = "jsonPayload.message = \"job ended\" AND (${join(" OR ", concat(local.from_functions, local.from_jobs))})"
  execution_ended_filter = "jsonPayload.message = \"execution ended\" AND (${join(" OR ", local.from_jobs)})"

  count_metrics = {
    jobs_ended = {
      about  = "Uploads that ended, by outcome and method."
      filter = local.ended_filter
      labels = { outcome = "EXTRACT(jsonPayload.outcome)", method = "EXTRACT(jsonPayload.method)" }
    }
    fallbacks = {
      about  = "Uploads of which another engine had to transcribe at least a part."
      filter = "${local.ended_filter} AND jsonPayload.fallbacks > 0"
      labels = {}
    }
    launches_failed = {
      about  = "Executions that Cloud Run did not start, by kind."
      filter = "jsonPayload.message = \"launch failed\" AND resource.type = \"cloud_run_revision\""
      labels = { kind = "EXTRACT(jsonPayload.kind)" }
    }
  }

  # Upper ends of buckets, as in shared/telemetry/metrics.py; a test compares them.
  seconds_bounds = [1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14400]
  shares_bounds  = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 1]

  distribution_metrics = {
    bill_usd = {
      about  = "Dollars on an upload's bill."
      unit   = "{USD}"
      filter = local.ended_filter
      field  = "bill_usd"
      # 0.01 cent to 52 dollars.
      bounds = [for power in range(20) : 0.0001 * pow(2, power)]
    }
    times_expected = {
      about  = "Time until the transcript as a multiple of what was predicted."
      unit   = "1"
      filter = local.ended_filter
      field  = "times_expected"
      bounds = [0.1, 0.25, 0.5, 0.75, 0.9, 1, 1.1, 1.25, 1.5, 2, 3, 5, 10, 20]
    }
    queue_wait = {
      about  = "From an upload's event until an execution took it."
      unit   = "s"
      filter = local.ended_filter
      field  = "wait_seconds"
      bounds = local.seconds_bounds
    }
    x_real_time = {
      about  = "Audio of an upload by the time of work on it."
      unit   = "1"
      filter = local.ended_filter
      field  = "x_real_time"
      bounds = [1, 2, 5, 10, 20, 30, 50, 75, 100, 150, 200, 300, 500, 1000, 2000]
    }
    coverage = {
      about  = "Share of an upload's speech that has words."
      unit   = "1"
      filter = local.ended_filter
      field  = "coverage"
      bounds = local.shares_bounds
    }
    startup = {
      about  = "From the start of an instance's bill to its first batch."
      unit   = "s"
      filter = local.execution_ended_filter
      field  = "startup_seconds"
      bounds = local.seconds_bounds
    }
    batch_fill = {
      about  = "Share of an execution's batches that is audio; the rest is padding."
      unit   = "1"
      filter = local.execution_ended_filter
      field  = "batch_fill"
      bounds = local.shares_bounds
    }
  }

  metric_prefix = "logging_googleapis_com:user_${replace(var.name, "-", "_")}_"

  # What alerts go by. Functions and jobs write the same lines; a query must name each resource type.
  increase_of_an_hour = {
    for series, selector in {
      ended          = "jobs_ended{%s}"
      failed         = "jobs_ended{%s,outcome=\"failed\"}"
      fallbacks      = "fallbacks{%s}"
      times_expected = "times_expected_bucket{%s}"
      } : series => join(" or ", [
        for source in ["cloud_run_revision", "cloud_run_job"] :
        "increase(${local.metric_prefix}${format(selector, "monitored_resource=\"${source}\"")}[1h])"
    ])
  }

  per_hour = {
    ended          = "sum(${local.increase_of_an_hour.ended})"
    failed         = "sum(${local.increase_of_an_hour.failed})"
    fallbacks      = "sum(${local.increase_of_an_hour.fallbacks})"
    times_expected = "histogram_quantile(0.5, sum by (le) (${local.increase_of_an_hour.times_expected}))"
  }
}

resource "google_logging_metric" "count" {
  for_each = local.count_metrics

  project          = var.project
  name             = "${var.name}/${each.key}"
  description      = each.value.about
  filter           = each.value.filter
  label_extractors = each.value.labels

  metric_descriptor {
    metric_kind = "DELTA"
    value_type  = "INT64"
    unit        = "1"

    dynamic "labels" {
      for_each = each.value.labels

      content {
        key        = labels.key
        value_type = "STRING"
      }
    }
  }

  depends_on = [google_project_service.api]
}

resource "google_logging_metric" "distribution" {
  for_each = local.distribution_metrics

  project         = var.project
  name            = "${var.name}/${each.key}"
  description     = each.value.about
  value_extractor = "EXTRACT(jsonPayload.${each.value.field})"

  # Only lines that have it: it is null where an upload or an execution has none.
  filter = "${each.value.filter} AND jsonPayload.${each.value.field} >= 0"

  metric_descriptor {
    metric_kind = "DELTA"
    value_type  = "DISTRIBUTION"
    unit        = each.value.unit
  }

  bucket_options {
    explicit_buckets {
      bounds = each.value.bounds
    }
  }

  depends_on = [google_project_service.api]
}

resource "google_monitoring_dashboard" "pipeline" {
  project = var.project
  # infra/dashboards/definition.py says what it shows.
  dashboard_json = templatefile("${path.module}/../infra/dashboards/cloud_monitoring.json", {
    title              = var.name
    metric_prefix      = local.metric_prefix
    gpu_job            = local.gpu_job_name
    work_subscriptions = "${var.topic_prefix}-(work|work-cpu)-job"
    dead_subscriptions = "${var.topic_prefix}-(work|results)-dead-kept"
    upload_function    = google_cloudfunctions2_function.this["on_upload"].name
  })
}
