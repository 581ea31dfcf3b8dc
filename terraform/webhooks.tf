# Outcomes posted to URLs: a push subscription on the topic of results, and a function that signs and posts them. It
# has an account of its own, which reaches job records and nothing else.

locals {
  has_webhooks = var.webhooks.enabled

  webhook_secrets = local.has_webhooks ? {
    WEBHOOK_SECRETS = {
      secret  = google_secret_manager_secret.webhooks[0].secret_id
      version = "latest"
    }
  } : {}
}

# Signs what is posted. `make deploy` adds one, random, where there is none.
resource "google_secret_manager_secret" "webhooks" {
  count = local.has_webhooks ? 1 : 0

  project             = var.project
  secret_id           = "${var.name}-webhook-secrets"
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

resource "google_secret_manager_secret_iam_member" "webhooks" {
  count = length(google_secret_manager_secret.webhooks)

  project   = var.project
  secret_id = google_secret_manager_secret.webhooks[0].secret_id
  role      = "roles/secretmanager.secretAccessor"
  member    = local.member["webhooks"]
}

resource "google_cloudfunctions2_function" "webhook" {
  count = local.has_webhooks ? 1 : 0

  project     = var.project
  location    = var.region
  name        = "${var.name}-webhook"
  description = "Posts outcomes to URLs, signed."
  labels      = var.labels

  build_config {
    runtime           = "python311"
    entry_point       = "webhook"
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
    available_memory                 = "512Mi"
    min_instance_count               = 0
    max_instance_count               = var.webhooks.max_instances
    max_instance_request_concurrency = local.webhook_concurrency
    timeout_seconds                  = local.webhook_timeout_seconds
    ingress_settings                 = "ALLOW_INTERNAL_ONLY"
    service_account_email            = google_service_account.this["webhooks"].email

    environment_variables = merge(local.callback_environment, { THREADS = tostring(local.webhook_concurrency) })

    dynamic "secret_environment_variables" {
      for_each = local.webhook_secrets

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
    google_secret_manager_secret_iam_member.webhooks,
  ]
}

locals {
  # It waits for receivers.
  webhook_concurrency = 20
  # All of an outcome's URLs are posted to side by side, each for WEBHOOK_TIMEOUT_SECONDS, 60 s at most.
  webhook_timeout_seconds = 90
}

resource "google_cloud_run_v2_service_iam_member" "webhook" {
  count = length(google_cloudfunctions2_function.webhook)

  project  = var.project
  location = var.region
  name     = google_cloudfunctions2_function.webhook[0].name
  role     = "roles/run.invoker"
  member   = local.member["trigger"]
}

# Pushed again until the function takes it, which it does in any case WEBHOOK_RETRY_HOURS after it was published.
resource "google_pubsub_subscription" "webhook" {
  count = local.has_webhooks ? 1 : 0

  project                    = var.project
  name                       = "${var.topic_prefix}-results-webhook"
  topic                      = google_pubsub_topic.this["results"].id
  labels                     = var.labels
  ack_deadline_seconds       = local.webhook_timeout_seconds + 10
  message_retention_duration = "604800s"

  push_config {
    push_endpoint = google_cloudfunctions2_function.webhook[0].service_config[0].uri

    oidc_token {
      service_account_email = google_service_account.this["trigger"].email
      audience              = google_cloudfunctions2_function.webhook[0].service_config[0].uri
    }
  }

  retry_policy {
    minimum_backoff = "10s"
    maximum_backoff = "600s"
  }

  expiration_policy {
    ttl = ""
  }

  depends_on = [google_cloud_run_v2_service_iam_member.webhook, google_service_account_iam_member.token_creator]
}
