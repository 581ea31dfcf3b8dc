# Outcomes posted to URLs: not there unless asked for, and then by an account that reaches job records alone.

mock_provider "google" {}

variables {
  project = "a-project"
  release = "v1"
}

override_resource {
  target = google_service_account.this["webhooks"]
  values = { email = "webhooks", name = "accounts/webhooks" }
}

override_resource {
  target = google_service_account.this["trigger"]
  values = { email = "trigger", name = "accounts/trigger" }
}

run "not_by_default" {
  command = apply

  override_resource {
    target = google_service_account.this["function"]
    values = { email = "function", name = "accounts/function" }
  }

  assert {
    condition     = length(google_cloudfunctions2_function.webhook) + length(google_pubsub_subscription.webhook) + length(google_secret_manager_secret.webhooks) == 0 && !contains(keys(google_service_account.this), "webhooks")
    error_message = "Nothing is posted anywhere."
  }
}

run "to_nobody" {
  command         = plan
  expect_failures = [var.webhooks]

  variables {
    webhooks = { enabled = true }
  }
}

run "unencrypted" {
  command         = plan
  expect_failures = [var.webhooks]

  variables {
    webhooks = { enabled = true, urls = ["http://hooks.example.org/"] }
  }
}

run "a_path_is_no_origin" {
  command         = plan
  expect_failures = [var.webhooks]

  variables {
    webhooks = { enabled = true, allowed_origins = ["https://hooks.example.org/path"] }
  }
}

run "webhooks" {
  command = apply

  variables {
    deepgram = { enabled = true, callbacks = true }
    webhooks = { enabled = true, urls = ["https://a.example/1", "https://a.example/2"], allowed_origins = ["https://b.example"] }
  }

  assert {
    condition     = google_pubsub_subscription.webhook[0].topic == google_pubsub_topic.this["results"].id && google_pubsub_subscription.webhook[0].push_config[0].push_endpoint == google_cloudfunctions2_function.webhook[0].service_config[0].uri && google_pubsub_subscription.webhook[0].push_config[0].oidc_token[0].service_account_email == "trigger"
    error_message = "Outcomes are pushed to the function, by an account that may call it."
  }

  assert {
    condition     = google_pubsub_subscription.webhook[0].retry_policy[0].minimum_backoff == "10s" && google_pubsub_subscription.webhook[0].retry_policy[0].maximum_backoff == "600s" && google_pubsub_subscription.webhook[0].ack_deadline_seconds > google_cloudfunctions2_function.webhook[0].service_config[0].timeout_seconds && google_pubsub_subscription.webhook[0].expiration_policy[0].ttl == ""
    error_message = "What was not taken comes again, and not while it is still posted."
  }

  assert {
    condition     = google_cloud_run_v2_service_iam_member.webhook[0].member == "serviceAccount:trigger" && google_cloudfunctions2_function.webhook[0].service_config[0].ingress_settings == "ALLOW_INTERNAL_ONLY"
    error_message = "Nobody else can have anything posted."
  }

  assert {
    condition = toset(concat(
      [for one in google_storage_bucket_iam_member.this : "${one.bucket} ${one.role}" if one.member == "serviceAccount:webhooks"],
      [for one in google_pubsub_topic_iam_member.publisher : "${one.topic} ${one.role}" if one.member == "serviceAccount:webhooks"],
      [for one in google_secret_manager_secret_iam_member.accessor : "${one.secret_id} ${one.role}" if one.member == "serviceAccount:webhooks"],
      [for one in google_secret_manager_secret_iam_member.callback : "${one.secret_id} ${one.role}" if one.member == "serviceAccount:webhooks"],
      [for one in google_secret_manager_secret_iam_member.webhooks : "${one.secret_id} ${one.role}" if one.member == "serviceAccount:webhooks"],
      )) == toset([
      "a-project-dropscribe-results roles/storage.objectViewer",
      "a-project-dropscribe-state roles/storage.objectUser",
      "dropscribe-webhook-secrets roles/secretmanager.secretAccessor",
    ])
    error_message = "Its account reaches job records, its secret, and to read results, as uploads may name URLs: no upload, no Deepgram key."
  }

  assert {
    condition     = [for secret in google_cloudfunctions2_function.webhook[0].service_config[0].secret_environment_variables : secret.key] == ["WEBHOOK_SECRETS"] && google_cloudfunctions2_function.webhook[0].service_config[0].environment_variables["WEBHOOK_URLS"] == "https://a.example/1,https://a.example/2"
    error_message = "It knows whom to post to, and has no other secret."
  }

  assert {
    condition = alltrue([
      for function in google_cloudfunctions2_function.this :
      function.service_config[0].environment_variables["WEBHOOK_ALLOWED_ORIGINS"] == "https://b.example"
      && !contains([for secret in function.service_config[0].secret_environment_variables : secret.key], "WEBHOOK_SECRETS")
    ])
    error_message = "Uploads are rejected that ask for another origin, by functions that sign nothing."
  }
}
