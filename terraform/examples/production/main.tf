# Deepgram beside the GPU, a budget, alerts, a key of one's own, and a rollout by shares.

provider "google" {
  project = var.project
  region  = var.region

  # The Billing API asks which project a user's calls are counted against.
  user_project_override = true
  billing_project       = var.project
}

module "dropscribe" {
  source = "../.."

  project = var.project
  region  = var.region
  release = var.release
  kms_key = var.kms_key
  labels  = { team = "media", environment = "production" }

  lifecycle_days = {
    uploads = 30
    results = 365
  }

  deepgram = {
    enabled        = true
    secret_version = "1"
  }

  gpu_rollout_percent = var.gpu_rollout_percent
  monthly_budget_usd  = 500
  billing_account     = var.billing_account

  settings = {
    language               = "en"
    max_completion_minutes = 120
  }
  function_settings = {
    max_cost_per_audio_hour_usd = 0.40
  }

  alert_emails = var.alert_emails
  alert_thresholds = {
    oldest_work_minutes = 20
  }
}
