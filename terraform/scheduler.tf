resource "google_cloud_scheduler_job" "reconcile" {
  project          = var.project
  region           = var.region
  name             = "${var.name}-reconcile"
  description      = "Calls the reconciler."
  schedule         = var.reconcile_schedule
  time_zone        = "Etc/UTC"
  attempt_deadline = "${local.function_timeout_seconds + 60}s"

  # The next tick comes anyway.
  retry_config {
    retry_count = 0
  }

  http_target {
    http_method = "POST"
    uri         = google_cloudfunctions2_function.this["reconcile"].service_config[0].uri

    oidc_token {
      service_account_email = google_service_account.this["scheduler"].email
      audience              = google_cloudfunctions2_function.this["reconcile"].service_config[0].uri
    }
  }

  depends_on = [google_cloud_run_v2_service_iam_member.invoker]
}
