locals {
  # Longest time that an event's handler may take; CLAIM_SECONDS is a minute more.
  function_timeout_seconds = 540

  entry_points = {
    on_upload = {
      name        = "${var.name}-upload"
      description = "Inspects an upload, decides its method, and dispatches it."
      cpu         = var.function.cpu
      memory      = var.function.memory
      min         = var.function.min_instances
      max         = var.function.max_instances
      concurrency = var.function.concurrency
    }
    # One tick at a time is enough; a second one would find nothing to do.
    reconcile = {
      name        = "${var.name}-reconcile"
      description = "Resumes jobs that made no progress."
      cpu         = "1"
      memory      = var.function.memory
      min         = 0
      max         = 1
      concurrency = 1
    }
  }
}

resource "google_cloudfunctions2_function" "this" {
  for_each = local.entry_points

  project     = var.project
  location    = var.region
  name        = each.value.name
  description = each.value.description
  labels      = var.labels

  build_config {
    runtime           = "python311"
    entry_point       = each.key
    service_account   = google_service_account.this["build"].id
    docker_repository = google_artifact_registry_repository.functions.id

    source {
      storage_source {
        bucket = google_storage_bucket.this["source"].name
        object = "function-${var.release}.zip"
      }
    }
  }

  service_config {
    available_cpu                    = each.value.cpu
    available_memory                 = each.value.memory
    min_instance_count               = each.value.min
    max_instance_count               = each.value.max
    max_instance_request_concurrency = each.value.concurrency
    timeout_seconds                  = local.function_timeout_seconds
    ingress_settings                 = "ALLOW_INTERNAL_ONLY"
    service_account_email            = google_service_account.this["function"].email

    # Without THREADS the server takes four to a vCPU, and requests that Cloud Run lets in wait for one.
    environment_variables = merge(local.function_environment, { THREADS = tostring(each.value.concurrency) })

    dynamic "secret_environment_variables" {
      for_each = merge(local.deepgram_key, local.callback_key)

      content {
        key        = secret_environment_variables.key
        project_id = var.project
        secret     = secret_environment_variables.value.secret
        version    = secret_environment_variables.value.version
      }
    }
  }

  dynamic "event_trigger" {
    for_each = each.key == "on_upload" ? [google_storage_bucket.this["uploads"]] : []

    content {
      event_type            = "google.cloud.storage.object.v1.finalized"
      trigger_region        = lower(event_trigger.value.location)
      retry_policy          = "RETRY_POLICY_RETRY"
      service_account_email = google_service_account.this["trigger"].email

      event_filters {
        attribute = "bucket"
        value     = event_trigger.value.name
      }
    }
  }

  depends_on = [
    google_project_service.api,
    google_project_iam_member.this,
    google_artifact_registry_repository_iam_member.writer,
    google_storage_bucket_iam_member.this,
    google_secret_manager_secret_iam_member.accessor,
  ]
}
