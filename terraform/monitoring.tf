# Metrics out of the logs, so that a deployment needs no collector.

locals {
  ended_filter = join(" AND ", [
    "jsonPayload.message = \"job ended\"",
    "(${join(" OR ", concat(
      [for function in google_cloudfunctions2_function.this : "resource.labels.service_name = \"${function.name}\""],
      [for job in google_cloud_run_v2_job.this : "resource.labels.job_name = \"${job.name}\""],
    ))})",
  ])

  gpu_job_filter = "resource.type = \"cloud_run_job\" AND resource.labels.job_name = \"${google_cloud_run_v2_job.this["gpu"].name}\""

  count_metrics = {
    jobs_ended = {
      about  = "Uploads that ended, by outcome and method."
      filter = local.ended_filter
      labels = { outcome = "EXTRACT(jsonPayload.outcome)", method = "EXTRACT(jsonPayload.method)" }
    }
    fallbacks = {
      about  = "Uploads for which another engine than the decided one had to step in."
      filter = "${local.ended_filter} AND jsonPayload.fallbacks > 0"
      labels = {}
    }
    launches_failed = {
      about  = "Executions that Cloud Run did not start, by kind."
      filter = "jsonPayload.message = \"launch failed\" AND resource.type = \"cloud_run_revision\""
      labels = { kind = "EXTRACT(jsonPayload.kind)" }
    }
  }

  distribution_metrics = {
    bill_usd = {
      about = "Dollars on an upload's bill."
      unit  = "USD"
      value = "EXTRACT(jsonPayload.bill_usd)"
      # 0.01 cent to 100 dollars.
      scale   = 0.0001
      growth  = 2
      buckets = 20
    }
    times_expected = {
      about   = "Time until the transcript as a multiple of what was predicted."
      unit    = "1"
      value   = "EXTRACT(jsonPayload.times_expected)"
      scale   = 0.05
      growth  = 1.25
      buckets = 30
    }
  }

  metric_prefix = "logging_googleapis_com:user_${replace(var.name, "-", "_")}_"

  # Functions and jobs write the same lines; a query must name each resource type.
  increase_of_an_hour = {
    for series, selector in {
      ended          = "jobs_ended{%s}"
      failed         = "jobs_ended{%s,outcome=\"failed\"}"
      fallbacks      = "fallbacks{%s}"
      bill_usd       = "bill_usd_sum{%s}"
      times_expected = "times_expected_bucket{%s}"
      } : series => join(" or ", [
        for source in ["cloud_run_revision", "cloud_run_job"] :
        "increase(${local.metric_prefix}${format(selector, "monitored_resource=\"${source}\"")}[1h])"
    ])
  }

  per_hour = {
    ended            = "sum(${local.increase_of_an_hour.ended})"
    ended_by_outcome = "sum by (outcome) (${local.increase_of_an_hour.ended})"
    failed           = "sum(${local.increase_of_an_hour.failed})"
    fallbacks        = "sum(${local.increase_of_an_hour.fallbacks})"
    bill_usd         = "sum(${local.increase_of_an_hour.bill_usd})"
    times_expected   = "histogram_quantile(0.5, sum by (le) (${local.increase_of_an_hour.times_expected}))"
    launches_failed  = "sum by (kind) (increase(${local.metric_prefix}launches_failed{monitored_resource=\"cloud_run_revision\"}[1h]))"
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
  filter          = local.ended_filter
  value_extractor = each.value.value

  metric_descriptor {
    metric_kind = "DELTA"
    value_type  = "DISTRIBUTION"
    unit        = each.value.unit
  }

  bucket_options {
    exponential_buckets {
      scale              = each.value.scale
      growth_factor      = each.value.growth
      num_finite_buckets = each.value.buckets
    }
  }

  depends_on = [google_project_service.api]
}

resource "google_monitoring_dashboard" "pipeline" {
  project = var.project
  dashboard_json = templatefile("${path.module}/../infra/dashboards/cloud_monitoring.json", merge(
    # They stand inside of JSON strings.
    { for name, query in local.per_hour : name => replace(query, "\"", "\\\"") },
    {
      title              = var.name
      gpu_job            = google_cloud_run_v2_job.this["gpu"].name
      work_subscription  = google_pubsub_subscription.work.name
      dead_subscriptions = "${var.topic_prefix}-(work|results)-dead-kept"
      upload_function    = google_cloudfunctions2_function.this["on_upload"].name
    },
  ))
}
