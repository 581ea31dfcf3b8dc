# The function to which Deepgram posts its answers about long audio. It is the one that anybody may call, so it has an
# account of its own, which reaches no upload, no Deepgram key and no job.

resource "google_cloudfunctions2_function" "callback" {
  #checkov:skip=CKV_GCP_124: Deepgram posts from the Internet; a keyed token is what keeps others out (docs/security.md)
  count = local.has_callbacks ? 1 : 0

  project     = var.project
  location    = var.region
  name        = "${var.name}-callback"
  description = "Takes the answers that Deepgram posts, by signed addresses alone."
  labels      = var.labels

  build_config {
    runtime           = "python311"
    entry_point       = "deepgram_callback"
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
    available_memory                 = var.callback_function.memory
    min_instance_count               = 0
    max_instance_count               = var.callback_function.max_instances
    max_instance_request_concurrency = var.callback_function.concurrency
    timeout_seconds                  = var.callback_function.timeout_seconds
    ingress_settings                 = "ALLOW_ALL"
    service_account_email            = google_service_account.this["callback"].email

    environment_variables = merge(local.callback_environment, { THREADS = tostring(var.callback_function.concurrency) })

    dynamic "secret_environment_variables" {
      for_each = local.callback_key

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
    google_secret_manager_secret_iam_member.callback,
  ]
}

# Deepgram has no Google account. An organization that forbids allUsers (iam.allowedPolicyMemberDomains) refuses this.
resource "google_cloud_run_v2_service_iam_member" "anybody" {
  count = length(google_cloudfunctions2_function.callback)

  project  = var.project
  location = var.region
  name     = google_cloudfunctions2_function.callback[0].name
  role     = "roles/run.invoker"
  member   = "allUsers"
}

resource "google_secret_manager_secret_iam_member" "callback" {
  for_each = local.has_callbacks ? toset(["callback", "function"]) : toset([])

  project   = var.project
  secret_id = google_secret_manager_secret.callback[0].secret_id
  role      = "roles/secretmanager.secretAccessor"
  member    = local.member[each.key]
}
