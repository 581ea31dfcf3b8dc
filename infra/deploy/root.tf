# What makes the module a root of its own: whose state it is, and whose calls.

terraform {
  backend "gcs" {}
}

provider "google" {
  # The Billing API asks which project a user's calls are counted against.
  user_project_override = true
  billing_project       = var.project
}
