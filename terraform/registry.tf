resource "google_artifact_registry_repository" "images" {
  project       = var.project
  location      = var.region
  repository_id = var.name
  format        = "DOCKER"
  description   = "Images of the jobs."
  labels        = var.labels

  # A release is a name that must mean the same tomorrow: a rollback relies on it.
  docker_config {
    immutable_tags = true
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
  images = "${var.region}-docker.pkg.dev/${var.project}/${google_artifact_registry_repository.images.repository_id}"
}
