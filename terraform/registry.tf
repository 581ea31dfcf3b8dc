resource "google_artifact_registry_repository" "images" {
  project       = var.project
  location      = var.region
  repository_id = var.name
  format        = "DOCKER"
  description   = "Images of the jobs."
  labels        = var.labels

  # A release's name means the same tomorrow, for the build pushes none again. Immutable tags would hold that, too, but
  # cleanup policies leave images under immutable tags alone.
  cleanup_policies {
    id     = "keep-the-newest-releases"
    action = "KEEP"

    most_recent_versions {
      keep_count = var.kept_releases
    }
  }

  cleanup_policies {
    id     = "delete-other-releases"
    action = "DELETE"

    condition {
      tag_state  = "ANY"
      older_than = "${local.cleanup_after_days * 86400}s"
    }
  }

  depends_on = [google_project_service.api]
}

# Cloud Functions moves tags of its own about.
resource "google_artifact_registry_repository" "functions" {
  project       = var.project
  location      = var.region
  repository_id = "${var.name}-functions"
  format        = "DOCKER"
  description   = "Images that Cloud Functions builds of the function's source."
  labels        = var.labels

  depends_on = [google_project_service.api]
}

locals {
  # A release that was built and never deployed, or that runs after a rollback, has at least a month.
  cleanup_after_days = 30

  images = "${var.region}-docker.pkg.dev/${var.project}/${google_artifact_registry_repository.images.repository_id}"
}
