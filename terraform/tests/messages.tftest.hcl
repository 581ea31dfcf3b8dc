# Topics, subscriptions, dead letters, the costs table, secrets, budget and alerts.

mock_provider "google" {}

variables {
  project            = "a-project"
  release            = "v1"
  monthly_budget_usd = 99.5
  billing_account    = "0A0A0A-0A0A0A-0A0A0A"
  alert_emails       = ["owner@example.org"]
}

override_data {
  target = data.google_project.this
  values = { number = "123" }
}

run "defaults" {
  command = apply

  # Work.

  assert {
    condition     = alltrue([for work in google_pubsub_subscription.work : work.dead_letter_policy[0].dead_letter_topic == google_pubsub_topic.this["work-dead"].id && work.dead_letter_policy[0].max_delivery_attempts == 20])
    error_message = "What no worker can read becomes a dead letter."
  }

  assert {
    condition     = alltrue([for work in google_pubsub_subscription.work : work.retry_policy[0].minimum_backoff == "10s" && work.retry_policy[0].maximum_backoff == "600s"])
    error_message = "Work comes again after 10 s to 600 s."
  }

  assert {
    condition = alltrue([for work in google_pubsub_subscription.work : work.ack_deadline_seconds == 60]) && alltrue([
      for subscription in concat([google_pubsub_subscription.costs], values(google_pubsub_subscription.work), values(google_pubsub_subscription.kept)) :
      subscription.expiration_policy[0].ttl == ""
    ])
    error_message = "No subscription expires, and a killed worker's items come again after 60 s."
  }

  assert {
    condition = { for job, run in { gpu = google_cloud_run_v2_job.gpu[0], cpu = google_cloud_run_v2_job.cpu[0] } : job => one([
      for env in run.template[0].template[0].containers[0].env : env.value if env.name == "WORK_SUBSCRIPTION"
      ]) } == { gpu = "transcription-work-job", cpu = "transcription-work-cpu-job" } && { for name, topic in local.work_topics : name => google_pubsub_subscription.work[name].topic } == {
      gpu           = google_pubsub_topic.this["work"].id, cpu = google_pubsub_topic.this["work-cpu"].id
    }
    error_message = "Each job takes work from a queue of its own."
  }

  assert {
    condition     = alltrue([for function in google_cloudfunctions2_function.this : function.service_config[0].environment_variables["WORK_TOPIC"] == "transcription-work" && function.service_config[0].environment_variables["CPU_WORK_TOPIC"] == "transcription-work-cpu"])
    error_message = "The functions put work on the queue of either job."
  }

  assert {
    condition     = { for name, subscription in google_pubsub_subscription.kept : name => subscription.topic } == { for name in ["alerts", "results-dead", "work-dead"] : name => google_pubsub_topic.this[name].id }
    error_message = "Alerts and dead letters are kept."
  }

  # Outcomes.

  assert {
    condition     = google_pubsub_topic.this["results"].schema_settings[0].encoding == "JSON" && google_pubsub_topic.this["results"].schema_settings[0].schema == google_pubsub_schema.outcome.id && google_pubsub_schema.outcome.type == "AVRO"
    error_message = "Outcomes are held to the Avro schema, as JSON."
  }

  assert {
    condition     = google_pubsub_topic.this["events"].schema_settings[0].schema == google_pubsub_schema.progress.id && alltrue([for function in google_cloudfunctions2_function.this : function.service_config[0].environment_variables["EVENTS_TOPIC"] == "transcription-events"])
    error_message = "Progress is published, and held to its schema."
  }

  assert {
    condition     = google_pubsub_subscription.costs.bigquery_config[0].use_table_schema && google_pubsub_subscription.costs.bigquery_config[0].drop_unknown_fields && google_pubsub_subscription.costs.bigquery_config[0].write_metadata
    error_message = "Outcomes are written by the table's columns, and new fields do not stop them."
  }

  assert {
    condition     = google_pubsub_subscription.costs.dead_letter_policy[0].dead_letter_topic == google_pubsub_topic.this["results-dead"].id && google_pubsub_subscription.costs.retry_policy[0].maximum_backoff == "600s"
    error_message = "An outcome that does not fit the table becomes a dead letter."
  }

  assert {
    condition     = google_bigquery_table.outcomes.time_partitioning[0].type == "DAY" && google_bigquery_table.outcomes.time_partitioning[0].field == "received_at" && google_bigquery_table.outcomes.deletion_protection
    error_message = "The costs table is partitioned by day, and protected."
  }

  assert {
    condition     = toset(keys(google_bigquery_table.view)) == toset(["cost_by_day", "cost_by_method", "savings", "fallback_rate"]) && alltrue([for view in google_bigquery_table.view : !view.view[0].use_legacy_sql && strcontains(view.view[0].query, "`a-project.dropscribe_costs.outcomes_once`")])
    error_message = "Four views, over outcomes that are counted once."
  }

  # Deepgram is off until its key is there.

  assert {
    condition     = alltrue([for function in google_cloudfunctions2_function.this : length(function.service_config[0].secret_environment_variables) == 0])
    error_message = "A function that asks for a key which is not there does not start."
  }

  # Alerts.

  assert {
    condition     = toset(concat(keys(google_monitoring_alert_policy.query), keys(google_monitoring_alert_policy.threshold))) == toset(["error_rate", "fallback_rate", "times_expected", "gpu_use", "gpu_memory", "dead_letters", "oldest_work", "budget"])
    error_message = "Eight alerts."
  }

  assert {
    condition     = alltrue([for policy in concat(values(google_monitoring_alert_policy.query), values(google_monitoring_alert_policy.threshold)) : policy.notification_channels == tolist([google_monitoring_notification_channel.email["owner@example.org"].id])])
    error_message = "Every alert has a notification channel."
  }

  assert {
    condition = { for name, policy in google_monitoring_alert_policy.threshold : name => [policy.conditions[0].condition_threshold[0].comparison, policy.conditions[0].condition_threshold[0].threshold_value] } == {
      dead_letters = ["COMPARISON_GT", 0]
      oldest_work  = ["COMPARISON_GT", 1800]
      budget       = ["COMPARISON_GT", 0]
    }
    error_message = "Thresholds: ${jsonencode({ for name, policy in google_monitoring_alert_policy.threshold : name => policy.conditions[0].condition_threshold[0].threshold_value })}"
  }

  assert {
    condition     = strcontains(google_monitoring_alert_policy.query["error_rate"].conditions[0].condition_prometheus_query_language[0].query, "> 0.05 and") && strcontains(google_monitoring_alert_policy.query["fallback_rate"].conditions[0].condition_prometheus_query_language[0].query, "> 0.1 and") && endswith(google_monitoring_alert_policy.query["times_expected"].conditions[0].condition_prometheus_query_language[0].query, "> 2")
    error_message = "5 % errors, 10 % fallbacks, twice the expected time."
  }

  assert {
    condition = {
      for name in ["gpu_use", "gpu_memory"] : name => google_monitoring_alert_policy.query[name].conditions[0].condition_prometheus_query_language[0].query
      } == {
      gpu_use    = "histogram_quantile(0.5, sum by (le) (increase(run_googleapis_com:container_gpu_utilizations_bucket{monitored_resource=\"cloud_run_job\",job_name=\"dropscribe-gpu\"}[5m]))) < 0.2"
      gpu_memory = "histogram_quantile(0.99, sum by (le) (increase(run_googleapis_com:container_gpu_memory_utilizations_bucket{monitored_resource=\"cloud_run_job\",job_name=\"dropscribe-gpu\"}[5m]))) > 0.85"
    }
    error_message = "Half of the GPU's use under 20 %, its memory over 85 %."
  }

  assert {
    condition     = alltrue([for policy in google_monitoring_alert_policy.query : policy.conditions[0].condition_prometheus_query_language[0].disable_metric_validation])
    error_message = "Monitoring refuses a condition on a metric that it has not seen yet, unless it is told not to look."
  }

  assert {
    condition     = alltrue([for metric in concat(values(google_logging_metric.count), values(google_logging_metric.distribution)) : metric.metric_descriptor[0].metric_kind == "DELTA"])
    error_message = "Metrics out of logs are deltas."
  }

  assert {
    condition     = jsondecode(google_monitoring_dashboard.pipeline.dashboard_json).displayName == "dropscribe"
    error_message = "The dashboard is JSON."
  }
}

run "without_a_schema" {
  command = apply

  variables {
    results_schema  = false
    progress_events = false
  }

  assert {
    condition     = alltrue([for function in google_cloudfunctions2_function.this : !contains(keys(function.service_config[0].environment_variables), "EVENTS_TOPIC")])
    error_message = "Nothing is published about progress where it is switched off."
  }

  assert {
    condition     = length(google_pubsub_topic.this["results"].schema_settings) + length(google_pubsub_topic.this["events"].schema_settings) == 0
    error_message = "One variable takes the schema off the topic."
  }
}

run "deepgram" {
  command = apply

  variables {
    deepgram = { enabled = true, secret_version = "3" }
  }

  assert {
    condition = alltrue([
      for function in google_cloudfunctions2_function.this :
      [for one in function.service_config[0].secret_environment_variables : "${one.key} ${one.secret} ${one.version}"] == ["DEEPGRAM_API_KEY dropscribe-deepgram-api-key 3"]
    ])
    error_message = "The functions have the key."
  }

  assert {
    condition = alltrue([
      for job in concat(google_cloud_run_v2_job.gpu, google_cloud_run_v2_job.cpu) : [
        for env in job.template[0].template[0].containers[0].env :
        "${env.name} ${env.value_source[0].secret_key_ref[0].secret} ${env.value_source[0].secret_key_ref[0].version}"
        if length(env.value_source) > 0
      ] == ["DEEPGRAM_API_KEY dropscribe-deepgram-api-key 3"]
    ])
    error_message = "The jobs have the key."
  }
}

run "budget" {
  command = apply

  variables {
    notification_channels = ["projects/a-project/notificationChannels/a-pager"]
  }

  assert {
    condition     = [for rule in google_billing_budget.monthly[0].threshold_rules : rule.threshold_percent] == [0.5, 0.8, 1]
    error_message = "The budget tells at 50, 80 and 100 %."
  }

  assert {
    condition     = google_billing_budget.monthly[0].amount[0].specified_amount[0].units == "99" && google_billing_budget.monthly[0].amount[0].specified_amount[0].nanos == 500000000
    error_message = "99.50 dollars."
  }

  assert {
    condition     = google_billing_budget.monthly[0].amount[0].specified_amount[0].currency_code == "USD"
    error_message = "monthly_budget_usd is in dollars."
  }

  assert {
    condition     = google_billing_budget.monthly[0].all_updates_rule[0].monitoring_notification_channels == tolist([google_monitoring_notification_channel.email["owner@example.org"].id])
    error_message = "Billing budgets refuse channels that are not mail."
  }

  assert {
    condition     = google_billing_budget.monthly[0].budget_filter[0].projects == toset(["projects/123"])
    error_message = "Of this project."
  }
}

run "budget_that_tells_nobody_by_mail" {
  command = apply

  variables {
    alert_emails = []
  }

  assert {
    condition     = length(google_billing_budget.monthly[0].all_updates_rule) == 0
    error_message = "Without mail addresses billing administrators are notified."
  }
}

run "no_alerts_of_a_gpu_that_is_not_there" {
  command = apply

  variables {
    gpu_job = { enabled = false }
  }

  assert {
    condition     = toset(keys(google_monitoring_alert_policy.query)) == toset(["error_rate", "fallback_rate", "times_expected"])
    error_message = "Without a GPU job nothing asks for a GPU's metrics: ${jsonencode(keys(google_monitoring_alert_policy.query))}"
  }
}
