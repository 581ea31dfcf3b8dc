# The HTTP API, on request: a function that IAM's callers reach, and with keys those who have one. Its account reads,
# writes and erases uploads, results and state, and starts nothing.

locals {
  has_api      = var.api.enabled
  has_api_keys = var.api.enabled && var.api.keys

  api_settings = merge(var.api_settings, {
    api_authorisation  = var.api.keys ? "keys" : "iam"
    api_source_buckets = length(var.api.source_buckets) > 0 ? join(",", var.api.source_buckets) : null
  })

  api_environment = merge(
    local.callback_environment, { for name, value in local.api_settings : upper(name) => tostring(value) if value != null }
  )

  api_keys = local.has_api_keys ? {
    API_KEYS = {
      secret  = google_secret_manager_secret.api[0].secret_id
      version = "latest"
    }
  } : {}
}

resource "google_cloudfunctions2_function" "api" {
  #checkov:skip=CKV_GCP_124: programs call it from the Internet; IAM, and keys where they are used, keep others out (docs/security.md)
  count = local.has_api ? 1 : 0

  project     = var.project
  location    = var.region
  name        = "${var.name}-api"
  description = "The HTTP API: recordings are submitted, jobs looked after, results fetched."
  labels      = var.labels

  build_config {
    runtime           = "python311"
    entry_point       = "api"
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
    available_cpu                    = "1"
    available_memory                 = var.api.memory
    min_instance_count               = 0
    max_instance_count               = var.api.max_instances
    max_instance_request_concurrency = var.api.concurrency
    timeout_seconds                  = var.api.timeout_seconds
    ingress_settings                 = "ALLOW_ALL"
    service_account_email            = google_service_account.this["api"].email

    environment_variables = merge(local.api_environment, { THREADS = tostring(var.api.concurrency) })

    dynamic "secret_environment_variables" {
      for_each = local.api_keys

      content {
        key        = secret_environment_variables.key
        project_id = var.project
        secret     = secret_environment_variables.value.secret
        version    = secret_environment_variables.value.version
      }
    }
  }

  depends_on = [
    google_project_service.api,
    google_project_iam_member.this,
    google_artifact_registry_repository_iam_member.writer,
    google_storage_bucket_iam_member.this,
    google_secret_manager_secret_iam_member.api,
  ]
}

resource "google_cloud_run_v2_service_iam_member" "api" {
  for_each = local.has_api ? toset(var.api.invokers) : toset([])

  project  = var.project
  location = var.region
  name     = google_cloudfunctions2_function.api[0].name
  role     = "roles/run.invoker"
  member   = each.value
}

# A list of keys' hashes, folders and budgets (docs/api.md). Added by hand, so that it is neither in a plan nor in
# Terraform's state.
resource "google_secret_manager_secret" "api" {
  count = local.has_api_keys ? 1 : 0

  project             = var.project
  secret_id           = "${var.name}-api-keys"
  labels              = var.labels
  deletion_protection = var.deletion_protection

  replication {
    user_managed {
      replicas {
        location = var.region
      }
    }
  }

  depends_on = [google_project_service.api]
}

resource "google_secret_manager_secret_iam_member" "api" {
  count = length(google_secret_manager_secret.api)

  project   = var.project
  secret_id = google_secret_manager_secret.api[0].secret_id
  role      = "roles/secretmanager.secretAccessor"
  member    = local.member["api"]
}
