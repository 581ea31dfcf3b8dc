resource "google_project_service" "api" {
  for_each = toset([
    "artifactregistry", "bigquery", "billingbudgets", "cloudbuild", "cloudfunctions", "cloudresourcemanager",
    "cloudscheduler", "eventarc", "iam", "iamcredentials", "logging", "monitoring", "pubsub", "run", "secretmanager",
    "storage",
  ])

  project            = var.project
  service            = "${each.key}.googleapis.com"
  disable_on_destroy = false # others in the project may use it
}

data "google_project" "this" {
  project_id = var.project
  depends_on = [google_project_service.api]
}

data "google_storage_project_service_account" "agent" {
  project    = var.project
  depends_on = [google_project_service.api]
}

locals {
  storage_agent  = "serviceAccount:${data.google_storage_project_service_account.agent.email_address}"
  pubsub_agent   = "serviceAccount:service-${data.google_project.this.number}@gcp-sa-pubsub.iam.gserviceaccount.com"
  eventarc_agent = "serviceAccount:service-${data.google_project.this.number}@gcp-sa-eventarc.iam.gserviceaccount.com"
}
