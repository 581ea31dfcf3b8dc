# The one function that anybody may call: not there unless asked for, and then with an account that reaches little.

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

  variables {
    deepgram = { enabled = true }
  }

  assert {
    condition     = length(google_cloudfunctions2_function.callback) == 0 && length(google_cloud_run_v2_service_iam_member.anybody) == 0 && length(google_secret_manager_secret.callback) == 0 && !contains(keys(google_service_account.this), "callback")
    error_message = "Deepgram alone opens nothing to the internet."
  }

  assert {
    condition = alltrue([
      for function in google_cloudfunctions2_function.this :
      !contains(keys(function.service_config[0].environment_variables), "DEEPGRAM_CALLBACK_URL")
      && [for secret in function.service_config[0].secret_environment_variables : secret.key] == ["DEEPGRAM_API_KEY"]
    ])
    error_message = "Without callbacks every answer is waited for."
  }
}

run "needs_deepgram" {
  command         = plan
  expect_failures = [var.deepgram]

  variables {
    deepgram = { callbacks = true }
  }
}

run "bounds" {
  command         = plan
  expect_failures = [var.callback_function]

  variables {
    deepgram          = { enabled = true, callbacks = true }
    callback_function = { max_instances = 100 }
  }
}

run "callbacks" {
  command = apply

  variables {
    deepgram = { enabled = true, callbacks = true }
  }

  override_resource {
    target = google_service_account.this["callback"]
    values = { email = "callback", name = "accounts/callback" }
  }

  override_resource {
    target = google_cloudfunctions2_function.callback[0]
    values = { service_config = { uri = "https://callback.example" } }
  }

  assert {
    condition     = google_cloudfunctions2_function.callback[0].service_config[0].ingress_settings == "ALLOW_ALL" && google_cloudfunctions2_function.callback[0].build_config[0].entry_point == "deepgram_callback" && google_cloudfunctions2_function.callback[0].service_config[0].service_account_email == "callback"
    error_message = "Deepgram can reach the function, which has an account of its own."
  }

  assert {
    condition     = google_cloudfunctions2_function.callback[0].service_config[0].max_instance_count == 4 && google_cloudfunctions2_function.callback[0].service_config[0].max_instance_request_concurrency == 2 && google_cloudfunctions2_function.callback[0].service_config[0].timeout_seconds == 120
    error_message = "What anybody may call is bounded."
  }

  assert {
    condition     = [for secret in google_cloudfunctions2_function.callback[0].service_config[0].secret_environment_variables : secret.key] == ["DEEPGRAM_CALLBACK_KEY"]
    error_message = "It knows the key of its addresses, and not Deepgram's."
  }

  assert {
    condition     = [for one in google_cloud_run_v2_service_iam_member.anybody : "${one.name} ${one.role} ${one.member}"] == ["dropscribe-callback roles/run.invoker allUsers"]
    error_message = "Anybody may call this function, and no other."
  }

  assert {
    condition     = alltrue([for one in google_cloud_run_v2_service_iam_member.invoker : one.member != "allUsers"])
    error_message = "Nobody else may call the others."
  }

  assert {
    condition = toset(concat(
      [for one in google_storage_bucket_iam_member.this : "${one.bucket} ${one.role}" if one.member == "serviceAccount:callback"],
      [for one in google_pubsub_topic_iam_member.publisher : "${one.topic} ${one.role}" if one.member == "serviceAccount:callback"],
      [for one in google_secret_manager_secret_iam_member.accessor : "${one.secret_id} ${one.role}" if one.member == "serviceAccount:callback"],
      [for one in google_secret_manager_secret_iam_member.callback : "${one.secret_id} ${one.role}" if one.member == "serviceAccount:callback"],
      [for one in google_service_account_iam_member.token_creator : "${one.service_account_id} ${one.role}" if one.member == "serviceAccount:callback"],
      )) == toset([
      "a-project-dropscribe-results roles/storage.objectUser",
      "a-project-dropscribe-state roles/storage.objectUser",
      "transcription-results roles/pubsub.publisher",
      "transcription-events roles/pubsub.publisher",
      "dropscribe-callback-key roles/secretmanager.secretAccessor",
    ])
    error_message = "Its account reaches results, state and the topics of results and progress: no upload, no job, no Deepgram key."
  }

  assert {
    condition = alltrue([
      for function in google_cloudfunctions2_function.this :
      function.service_config[0].environment_variables["DEEPGRAM_CALLBACK_URL"] == "https://callback.example"
      && toset([for secret in function.service_config[0].secret_environment_variables : secret.key]) == toset(["DEEPGRAM_API_KEY", "DEEPGRAM_CALLBACK_KEY"])
    ])
    error_message = "The functions that call Deepgram sign addresses of the callback function: ${jsonencode([for function in google_cloudfunctions2_function.this : function.service_config[0].environment_variables])}"
  }

  assert {
    condition     = output.functions["deepgram_callback"] == "dropscribe-callback" && output.add_callback_key_command != null
    error_message = "The outputs name the function, and the command that adds its key."
  }
}
