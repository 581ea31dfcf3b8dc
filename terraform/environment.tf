locals {
  shared_settings = merge(var.settings, {
    google_cloud_project = var.project
    results_bucket       = google_storage_bucket.this["results"].name
    state_bucket         = google_storage_bucket.this["state"].name
    unredacted_bucket    = var.keep_unredacted ? google_storage_bucket.this["unredacted"].name : null
    results_topic        = google_pubsub_topic.this["results"].name
    work_topic           = google_pubsub_topic.this["work"].name
    events_topic         = var.progress_events ? google_pubsub_topic.this["events"].name : null

    # Function and workers launch by the same rules.
    gpu_job                = local.has_gpu_job ? "${local.job_name_prefix}/${local.gpu_job_name}" : null
    cpu_job                = var.cpu_job.enabled ? "${local.job_name_prefix}/${var.name}-cpu" : null
    max_parallel_tasks     = var.gpu_job.max_parallel_tasks
    cpu_max_parallel_tasks = var.cpu_job.max_parallel_tasks
  })

  job_name_prefix = "projects/${var.project}/locations/${var.region}/jobs"

  callback_url = one(google_cloudfunctions2_function.callback[*].service_config[0].uri)

  function_settings = merge(local.shared_settings, var.function_settings, {
    uploads_bucket           = google_storage_bucket.this["uploads"].name
    alerts_topic             = google_pubsub_topic.this["alerts"].name
    cpu_work_topic           = google_pubsub_topic.this["work-cpu"].name
    job_gpu                  = local.accelerator
    job_vcpu                 = var.gpu_job.cpu
    job_memory_gib           = var.gpu_job.memory_gib
    cpu_job_vcpu             = var.cpu_job.enabled ? var.cpu_job.cpu : null
    cpu_job_memory_gib       = var.cpu_job.enabled ? var.cpu_job.memory_gib : null
    job_disk_gib             = local.disk_gib["gpu"]
    cpu_job_disk_gib         = var.cpu_job.enabled ? local.disk_gib["cpu"] : null
    transcription_method     = var.transcription_method
    enable_gpu_transcription = local.has_gpu_job
    gpu_rollout_percent      = var.gpu_rollout_percent
    monthly_budget_usd       = var.monthly_budget_usd
    webhook_urls             = local.has_webhooks && length(var.webhooks.urls) > 0 ? join(",", var.webhooks.urls) : null
    webhook_allowed_origins  = local.has_webhooks && length(var.webhooks.allowed_origins) > 0 ? join(",", var.webhooks.allowed_origins) : null
  })

  # Bills and quotes are computed from these, so they are the job's own shape.
  job_settings = {
    for device, job in local.jobs : device => merge(local.shared_settings, var.job_settings, {
      work_subscription    = google_pubsub_subscription.work[device].name
      task_timeout_seconds = job.shape.timeout_seconds
      job_gpu              = job.accelerator == null ? "none" : job.accelerator
      job_vcpu             = job.shape.cpu
      job_memory_gib       = job.shape.memory_gib
      job_disk_gib         = local.disk_gib[device]
      scratch_folder       = local.disk_gib[device] > 0 ? local.scratch_folder : null
    })
  }

  # Settings that are not set keep the default of the settings models.
  callback_environment = merge(var.otel, {
    for name, value in local.function_settings : upper(name) => tostring(value) if value != null
  })
  # Its own address is not known to the function that takes callbacks, and it makes no calls.
  function_environment = merge(
    local.callback_environment, local.has_callbacks ? { DEEPGRAM_CALLBACK_URL = local.callback_url } : {}
  )
  job_environment = {
    for job, settings in local.job_settings :
    job => merge(var.otel, { for name, value in settings : upper(name) => tostring(value) if value != null })
  }
}
