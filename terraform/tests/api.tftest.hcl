# The HTTP API: not there unless asked for, private unless members are named, and open to all with keys alone.

mock_provider "google" {}

variables {
  project = "a-project"
  release = "v1"
}

override_resource {
  target = google_service_account.this["function"]
  values = { email = "function", name = "accounts/function" }
}

run "not_by_default" {
  command = apply

  assert {
    condition     = length(google_cloudfunctions2_function.api) == 0 && length(google_cloud_run_v2_service_iam_member.api) == 0 && length(google_secret_manager_secret.api) == 0 && !contains(keys(google_service_account.this), "api")
    error_message = "Without api.enabled there is nothing of it."
  }

  assert {
    condition     = google_storage_bucket_iam_member.this["function_uploads"].role == "roles/storage.objectViewer"
    error_message = "Nobody erases uploads."
  }
}

run "anybody_needs_keys" {
  command         = plan
  expect_failures = [var.api]

  variables {
    api = { enabled = true, invokers = ["allUsers"] }
  }
}

run "sources_are_folders" {
  command         = plan
  expect_failures = [var.api]

  variables {
    api = { enabled = true, source_buckets = ["archive/calls"] }
  }
}

run "private" {
  command = apply

  variables {
    api          = { enabled = true, source_buckets = ["archive/", "media/calls/"] }
    api_settings = { api_result_seconds = 60 }
  }

  override_resource {
    target = google_service_account.this["api"]
    values = { email = "api", name = "accounts/api" }
  }

  assert {
    condition     = length(google_cloud_run_v2_service_iam_member.api) == 0 && length(google_secret_manager_secret.api) == 0 && length(google_cloudfunctions2_function.api[0].service_config[0].secret_environment_variables) == 0
    error_message = "Nobody may call it, and there are no keys."
  }

  assert {
    condition = (
      google_cloudfunctions2_function.api[0].service_config[0].environment_variables["API_AUTHORISATION"] == "iam"
      && google_cloudfunctions2_function.api[0].service_config[0].environment_variables["API_SOURCE_BUCKETS"] == "archive/,media/calls/"
      && google_cloudfunctions2_function.api[0].service_config[0].environment_variables["API_RESULT_SECONDS"] == "60"
      && google_cloudfunctions2_function.api[0].service_config[0].environment_variables["THREADS"] == "8"
      && google_cloudfunctions2_function.api[0].build_config[0].entry_point == "api"
    )
    error_message = "Its settings: ${jsonencode(google_cloudfunctions2_function.api[0].service_config[0].environment_variables)}"
  }

  assert {
    condition = toset(concat(
      [for one in google_storage_bucket_iam_member.this : "${one.bucket} ${one.role}" if one.member == "serviceAccount:api"],
      [for one in google_pubsub_topic_iam_member.publisher : "${one.topic} ${one.role}" if one.member == "serviceAccount:api"],
      [for one in google_secret_manager_secret_iam_member.accessor : "${one.secret_id} ${one.role}" if one.member == "serviceAccount:api"],
      [for one in google_service_account_iam_member.token_creator : "${one.service_account_id} ${one.role}" if one.member == "serviceAccount:api"],
      )) == toset([
      "a-project-dropscribe-uploads roles/storage.objectUser",
      "a-project-dropscribe-results roles/storage.objectUser",
      "a-project-dropscribe-state roles/storage.objectUser",
      "transcription-results roles/pubsub.publisher",
      "transcription-events roles/pubsub.publisher",
      "accounts/api roles/iam.serviceAccountTokenCreator",
    ])
    error_message = "Its account starts no job and has no Deepgram key."
  }

  assert {
    condition     = google_storage_bucket_iam_member.this["function_uploads"].role == "roles/storage.objectUser"
    error_message = "The reconciler goes on with erasures."
  }

  assert {
    condition     = contains([for rule in google_storage_bucket.this["state"].lifecycle_rule : tolist(one(rule.condition).matches_prefix)[0] if length(coalesce(one(rule.condition).matches_prefix, [])) > 0 && one(rule.condition).age == 2], "api/requests/")
    error_message = "Answers that are kept for repeated requests are kept for two days."
  }
}

run "with_keys" {
  command = apply

  variables {
    api = { enabled = true, keys = true, invokers = ["allUsers"] }
  }

  override_resource {
    target = google_service_account.this["api"]
    values = { email = "api", name = "accounts/api" }
  }

  assert {
    condition     = [for secret in google_cloudfunctions2_function.api[0].service_config[0].secret_environment_variables : secret.key] == ["API_KEYS"]
    error_message = "The keys' hashes come from Secret Manager."
  }

  assert {
    condition     = [for one in google_secret_manager_secret_iam_member.api : "${one.secret_id} ${one.role} ${one.member}"] == ["dropscribe-api-keys roles/secretmanager.secretAccessor serviceAccount:api"]
    error_message = "Its account alone reads them."
  }

  assert {
    condition     = [for one in google_cloud_run_v2_service_iam_member.api : "${one.name} ${one.role} ${one.member}"] == ["dropscribe-api roles/run.invoker allUsers"]
    error_message = "Who may call it is named."
  }

  assert {
    condition     = output.functions["api"] == "dropscribe-api" && output.add_api_keys_command != null
    error_message = "The outputs name the function, and the command that adds its keys."
  }
}
