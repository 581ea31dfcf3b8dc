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

locals {
  deepgram_key = var.deepgram.enabled ? {
    DEEPGRAM_API_KEY = {
      secret  = google_secret_manager_secret.deepgram.secret_id
      version = var.deepgram.secret_version
    }
  } : {}
}
