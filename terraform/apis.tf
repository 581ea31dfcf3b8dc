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

# Each waits for its own API, through a local value: what names a resource in the data block itself (or in depends_on)
# waits for all of its instances, and then a release that adds an API replaces every role of Google's agents, whose names
# have the number.
data "google_project" "this" {
  project_id = local.project_once["cloudresourcemanager"]
}

data "google_storage_project_service_account" "agent" {
  project = local.project_once["storage"]
}

locals {
  # The project's id, known as soon as that API is on.
  project_once = { for api, service in google_project_service.api : api => split("/", service.id)[0] }

  storage_agent  = "serviceAccount:${data.google_storage_project_service_account.agent.email_address}"
  pubsub_agent   = "serviceAccount:service-${data.google_project.this.number}@gcp-sa-pubsub.iam.gserviceaccount.com"
  eventarc_agent = "serviceAccount:service-${data.google_project.this.number}@gcp-sa-eventarc.iam.gserviceaccount.com"
}
