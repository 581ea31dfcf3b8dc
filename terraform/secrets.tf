# The key itself is added by hand, so that it is neither in a plan nor in Terraform's state.
resource "google_secret_manager_secret" "deepgram" {
  project             = var.project
  secret_id           = "${var.name}-deepgram-api-key"
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

# Signs the addresses to which Deepgram posts its answers. `make deploy` adds one, random, where there is none.
resource "google_secret_manager_secret" "callback" {
  count = local.has_callbacks ? 1 : 0

  project             = var.project
  secret_id           = "${var.name}-callback-key"
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

locals {
  has_callbacks = var.deepgram.enabled && var.deepgram.callbacks

  callback_key = local.has_callbacks ? {
    DEEPGRAM_CALLBACK_KEY = {
      secret  = google_secret_manager_secret.callback[0].secret_id
      version = "latest"
    }
  } : {}

  deepgram_key = var.deepgram.enabled ? {
    DEEPGRAM_API_KEY = {
      secret  = google_secret_manager_secret.deepgram.secret_id
      version = var.deepgram.secret_version
    }
  } : {}
}
