# Every binding there is, as a whole: one that is missing, new, broader or on something else fails.

mock_provider "google" {}

variables {
  project = "a-project"
  release = "v1"
  kms_key = "projects/a-project/locations/us-central1/keyRings/r/cryptoKeys/k"
}

override_data {
  target = data.google_project.this
  values = { number = "123" }
}

override_data {
  target = data.google_storage_project_service_account.agent
  values = { email_address = "storage-agent" }
}

override_resource {
  target = google_service_account.this["function"]
  values = { email = "function", name = "accounts/function" }
}

override_resource {
  target = google_service_account.this["job"]
  values = { email = "job", name = "accounts/job" }
}

override_resource {
  target = google_service_account.this["trigger"]
  values = { email = "trigger", name = "accounts/trigger" }
}

override_resource {
  target = google_service_account.this["scheduler"]
  values = { email = "scheduler", name = "accounts/scheduler" }
}

override_resource {
  target = google_service_account.this["build"]
  values = { email = "build", name = "accounts/build" }
}

override_resource {
  target = google_service_account.this["warehouse"]
  values = { email = "warehouse", name = "accounts/warehouse" }
}

override_resource {
  target = google_service_account.this["callback"]
  values = { email = "callback", name = "accounts/callback" }
}

override_resource {
  target = google_service_account.this["api"]
  values = { email = "api", name = "accounts/api" }
}

override_resource {
  target = google_service_account.this["webhooks"]
  values = { email = "webhooks", name = "accounts/webhooks" }
}

run "bindings" {
  command = apply

  assert {
    condition = toset([for one in google_storage_bucket_iam_member.this : "${one.bucket} ${one.role} ${one.member}"]) == toset([
      "a-project-dropscribe-uploads roles/storage.objectViewer serviceAccount:function",
      "a-project-dropscribe-results roles/storage.objectUser serviceAccount:function",
      "a-project-dropscribe-state roles/storage.objectUser serviceAccount:function",
      "a-project-dropscribe-uploads roles/storage.objectViewer serviceAccount:job",
      "a-project-dropscribe-results roles/storage.objectUser serviceAccount:job",
      "a-project-dropscribe-state roles/storage.objectUser serviceAccount:job",
      "a-project-dropscribe-source roles/storage.objectViewer serviceAccount:build",
    ])
    error_message = "Bindings on buckets: ${jsonencode([for one in google_storage_bucket_iam_member.this : "${one.bucket} ${one.role} ${one.member}"])}"
  }

  assert {
    condition = toset([for one in google_pubsub_topic_iam_member.publisher : "${one.topic} ${one.role} ${one.member}"]) == toset([
      "transcription-work roles/pubsub.publisher serviceAccount:function",
      "transcription-work-cpu roles/pubsub.publisher serviceAccount:function",
      "transcription-results roles/pubsub.publisher serviceAccount:function",
      "transcription-events roles/pubsub.publisher serviceAccount:function",
      "transcription-alerts roles/pubsub.publisher serviceAccount:function",
      "transcription-results roles/pubsub.publisher serviceAccount:job",
      "transcription-events roles/pubsub.publisher serviceAccount:job",
      "transcription-work-dead roles/pubsub.publisher serviceAccount:service-123@gcp-sa-pubsub.iam.gserviceaccount.com",
      "transcription-results-dead roles/pubsub.publisher serviceAccount:service-123@gcp-sa-pubsub.iam.gserviceaccount.com",
    ])
    error_message = "Bindings on topics: ${jsonencode([for one in google_pubsub_topic_iam_member.publisher : "${one.topic} ${one.role} ${one.member}"])}"
  }

  assert {
    condition = toset([for one in google_pubsub_subscription_iam_member.subscriber : "${one.subscription} ${one.role} ${one.member}"]) == toset([
      "transcription-work-job roles/pubsub.subscriber serviceAccount:job",
      "transcription-work-cpu-job roles/pubsub.subscriber serviceAccount:job",
      "transcription-work-job roles/pubsub.subscriber serviceAccount:service-123@gcp-sa-pubsub.iam.gserviceaccount.com",
      "transcription-work-cpu-job roles/pubsub.subscriber serviceAccount:service-123@gcp-sa-pubsub.iam.gserviceaccount.com",
      "transcription-results-costs roles/pubsub.subscriber serviceAccount:service-123@gcp-sa-pubsub.iam.gserviceaccount.com",
    ])
    error_message = "Bindings on subscriptions: ${jsonencode([for one in google_pubsub_subscription_iam_member.subscriber : "${one.subscription} ${one.role} ${one.member}"])}"
  }

  assert {
    condition = toset([for one in google_cloud_run_v2_job_iam_member.gpu_executor : "${one.name} ${one.role} ${one.member}"]) == toset([
      "dropscribe-gpu roles/run.invoker serviceAccount:function",
    ])
    error_message = "Bindings on the GPU job: ${jsonencode([for one in google_cloud_run_v2_job_iam_member.gpu_executor : "${one.name} ${one.role} ${one.member}"])}"
  }

  assert {
    condition = toset([for one in google_cloud_run_v2_job_iam_member.gpu_worker : "${one.name} ${one.role} ${one.member}"]) == toset([
      "dropscribe-gpu roles/run.invoker serviceAccount:job",
    ])
    error_message = "Workers' bindings on the GPU job: ${jsonencode([for one in google_cloud_run_v2_job_iam_member.gpu_worker : "${one.name} ${one.role} ${one.member}"])}"
  }

  assert {
    condition = toset([for one in google_cloud_run_v2_job_iam_member.cpu_executor : "${one.name} ${one.role} ${one.member}"]) == toset([
      "dropscribe-cpu roles/run.invoker serviceAccount:function",
    ])
    error_message = "Bindings on the CPU job: ${jsonencode([for one in google_cloud_run_v2_job_iam_member.cpu_executor : "${one.name} ${one.role} ${one.member}"])}"
  }

  assert {
    condition = toset([for one in google_cloud_run_v2_job_iam_member.cpu_worker : "${one.name} ${one.role} ${one.member}"]) == toset([
      "dropscribe-cpu roles/run.invoker serviceAccount:job",
    ])
    error_message = "Workers' bindings on the CPU job: ${jsonencode([for one in google_cloud_run_v2_job_iam_member.cpu_worker : "${one.name} ${one.role} ${one.member}"])}"
  }

  assert {
    condition = toset([for one in google_cloud_run_v2_service_iam_member.invoker : "${one.name} ${one.role} ${one.member}"]) == toset([
      "dropscribe-upload roles/run.invoker serviceAccount:trigger",
      "dropscribe-reconcile roles/run.invoker serviceAccount:scheduler",
    ])
    error_message = "Bindings on functions: ${jsonencode([for one in google_cloud_run_v2_service_iam_member.invoker : "${one.name} ${one.role} ${one.member}"])}"
  }

  assert {
    condition = toset([for one in google_service_account_iam_member.token_creator : "${one.service_account_id} ${one.role} ${one.member}"]) == toset([
      "accounts/function roles/iam.serviceAccountTokenCreator serviceAccount:function",
      "accounts/trigger roles/iam.serviceAccountTokenCreator serviceAccount:service-123@gcp-sa-pubsub.iam.gserviceaccount.com",
      "accounts/warehouse roles/iam.serviceAccountTokenCreator serviceAccount:service-123@gcp-sa-pubsub.iam.gserviceaccount.com",
    ])
    error_message = "Bindings on accounts: ${jsonencode([for one in google_service_account_iam_member.token_creator : "${one.service_account_id} ${one.role} ${one.member}"])}"
  }

  assert {
    condition = toset([for one in google_secret_manager_secret_iam_member.accessor : "${one.secret_id} ${one.role} ${one.member}"]) == toset([
      "dropscribe-deepgram-api-key roles/secretmanager.secretAccessor serviceAccount:function",
      "dropscribe-deepgram-api-key roles/secretmanager.secretAccessor serviceAccount:job",
    ])
    error_message = "Bindings on the secret: ${jsonencode([for one in google_secret_manager_secret_iam_member.accessor : "${one.secret_id} ${one.role} ${one.member}"])}"
  }

  assert {
    condition = toset([for one in google_artifact_registry_repository_iam_member.writer : "${one.repository} ${one.role} ${one.member}"]) == toset([
      "dropscribe-functions roles/artifactregistry.writer serviceAccount:build",
      "dropscribe roles/artifactregistry.writer serviceAccount:build",
    ])
    error_message = "Bindings on the images: ${jsonencode([for one in google_artifact_registry_repository_iam_member.writer : "${one.repository} ${one.role} ${one.member}"])}"
  }

  assert {
    condition = toset([for one in google_bigquery_dataset_iam_member.warehouse : "${one.dataset_id} ${one.role} ${one.member}"]) == toset([
      "dropscribe_costs roles/bigquery.dataEditor serviceAccount:warehouse",
      "dropscribe_costs roles/bigquery.metadataViewer serviceAccount:warehouse",
    ])
    error_message = "Bindings on the dataset: ${jsonencode([for one in google_bigquery_dataset_iam_member.warehouse : "${one.dataset_id} ${one.role} ${one.member}"])}"
  }

  assert {
    condition = toset([for one in google_kms_crypto_key_iam_member.storage : "${one.crypto_key_id} ${one.role} ${one.member}"]) == toset([
      "projects/a-project/locations/us-central1/keyRings/r/cryptoKeys/k roles/cloudkms.cryptoKeyEncrypterDecrypter serviceAccount:storage-agent",
    ])
    error_message = "Bindings on the key: ${jsonencode([for one in google_kms_crypto_key_iam_member.storage : "${one.crypto_key_id} ${one.role} ${one.member}"])}"
  }

  # On the project, because nothing narrower can hold them.
  assert {
    condition = toset([for one in google_project_iam_member.this : "${one.role} ${one.member}"]) == toset([
      "roles/eventarc.eventReceiver serviceAccount:trigger",
      "roles/pubsub.publisher serviceAccount:storage-agent",
      "roles/eventarc.serviceAgent serviceAccount:service-123@gcp-sa-eventarc.iam.gserviceaccount.com",
      "roles/logging.logWriter serviceAccount:build",
      "roles/storage.objectViewer serviceAccount:build",
    ])
    error_message = "Bindings on the project: ${jsonencode([for one in google_project_iam_member.this : "${one.role} ${one.member}"])}"
  }

  assert {
    condition     = google_project_iam_member.this["build_source"].condition[0].expression == "resource.name.startsWith(\"projects/_/buckets/gcf-v2-sources-123-\")"
    error_message = "The build may read the bucket of its source only."
  }

  # Who works as whom.

  assert {
    condition     = alltrue([for job in concat(google_cloud_run_v2_job.gpu, google_cloud_run_v2_job.cpu) : job.template[0].template[0].service_account == "job"])
    error_message = "The jobs run as the job's account."
  }

  assert {
    condition     = alltrue([for function in google_cloudfunctions2_function.this : function.service_config[0].service_account_email == "function"])
    error_message = "The functions run as the function's account."
  }

  assert {
    condition     = google_cloudfunctions2_function.this["on_upload"].event_trigger[0].service_account_email == "trigger"
    error_message = "Events come from the trigger's account."
  }

  assert {
    condition     = google_cloud_scheduler_job.reconcile.http_target[0].oidc_token[0].service_account_email == "scheduler"
    error_message = "The scheduler calls as its own account."
  }

  assert {
    condition     = google_pubsub_subscription.costs.bigquery_config[0].service_account_email == "warehouse"
    error_message = "The costs table is written by the warehouse's account."
  }
}

# What callbacks add: one function that everybody may call, and an account for it.
run "bindings_with_callbacks" {
  command = apply

  variables {
    deepgram = { enabled = true, callbacks = true }
  }

  assert {
    condition = toset([for one in google_cloud_run_v2_service_iam_member.anybody : "${one.name} ${one.role} ${one.member}"]) == toset([
      "dropscribe-callback roles/run.invoker allUsers",
    ])
    error_message = "Bindings on the function of callbacks: ${jsonencode([for one in google_cloud_run_v2_service_iam_member.anybody : "${one.name} ${one.role} ${one.member}"])}"
  }

  assert {
    condition = toset([for one in google_secret_manager_secret_iam_member.callback : "${one.secret_id} ${one.role} ${one.member}"]) == toset([
      "dropscribe-callback-key roles/secretmanager.secretAccessor serviceAccount:callback",
      "dropscribe-callback-key roles/secretmanager.secretAccessor serviceAccount:function",
    ])
    error_message = "Bindings on the key of callbacks: ${jsonencode([for one in google_secret_manager_secret_iam_member.callback : "${one.secret_id} ${one.role} ${one.member}"])}"
  }

  assert {
    condition = toset([for one in google_storage_bucket_iam_member.this : "${one.bucket} ${one.role} ${one.member}"]) == toset([
      "a-project-dropscribe-uploads roles/storage.objectViewer serviceAccount:function",
      "a-project-dropscribe-results roles/storage.objectUser serviceAccount:function",
      "a-project-dropscribe-state roles/storage.objectUser serviceAccount:function",
      "a-project-dropscribe-uploads roles/storage.objectViewer serviceAccount:job",
      "a-project-dropscribe-results roles/storage.objectUser serviceAccount:job",
      "a-project-dropscribe-state roles/storage.objectUser serviceAccount:job",
      "a-project-dropscribe-source roles/storage.objectViewer serviceAccount:build",
      "a-project-dropscribe-results roles/storage.objectUser serviceAccount:callback",
      "a-project-dropscribe-state roles/storage.objectUser serviceAccount:callback",
    ])
    error_message = "Bindings on buckets with callbacks: ${jsonencode([for one in google_storage_bucket_iam_member.this : "${one.bucket} ${one.role} ${one.member}"])}"
  }

  assert {
    condition = toset([for one in google_cloud_run_v2_service_iam_member.invoker : "${one.name} ${one.role} ${one.member}"]) == toset([
      "dropscribe-upload roles/run.invoker serviceAccount:trigger",
      "dropscribe-reconcile roles/run.invoker serviceAccount:scheduler",
    ])
    error_message = "Bindings on the other functions: ${jsonencode([for one in google_cloud_run_v2_service_iam_member.invoker : "${one.name} ${one.role} ${one.member}"])}"
  }
}

# What the HTTP API and webhooks add: a function each, which only those who are named may call, and its secret.
run "bindings_with_api_and_webhooks" {
  command = apply

  variables {
    api      = { enabled = true, keys = true, invokers = ["group:editors@example.com"] }
    webhooks = { enabled = true, urls = ["https://hooks.example.org/"] }
  }

  assert {
    condition = toset([for one in google_cloud_run_v2_service_iam_member.api : "${one.name} ${one.role} ${one.member}"]) == toset([
      "dropscribe-api roles/run.invoker group:editors@example.com",
    ])
    error_message = "Bindings on the function of the API: ${jsonencode([for one in google_cloud_run_v2_service_iam_member.api : "${one.name} ${one.role} ${one.member}"])}"
  }

  assert {
    condition = toset([for one in google_secret_manager_secret_iam_member.api : "${one.secret_id} ${one.role} ${one.member}"]) == toset([
      "dropscribe-api-keys roles/secretmanager.secretAccessor serviceAccount:api",
    ])
    error_message = "Bindings on the API's keys: ${jsonencode([for one in google_secret_manager_secret_iam_member.api : "${one.secret_id} ${one.role} ${one.member}"])}"
  }

  assert {
    condition = toset([for one in google_cloud_run_v2_service_iam_member.webhook : "${one.name} ${one.role} ${one.member}"]) == toset([
      "dropscribe-webhook roles/run.invoker serviceAccount:trigger",
    ])
    error_message = "Bindings on the function of webhooks: ${jsonencode([for one in google_cloud_run_v2_service_iam_member.webhook : "${one.name} ${one.role} ${one.member}"])}"
  }

  assert {
    condition = toset([for one in google_secret_manager_secret_iam_member.webhooks : "${one.secret_id} ${one.role} ${one.member}"]) == toset([
      "dropscribe-webhook-secrets roles/secretmanager.secretAccessor serviceAccount:webhooks",
    ])
    error_message = "Bindings on the secrets of webhooks: ${jsonencode([for one in google_secret_manager_secret_iam_member.webhooks : "${one.secret_id} ${one.role} ${one.member}"])}"
  }
}

# What a bucket of unredacted transcripts adds: whoever ends jobs may write to it, and only who erases may read.
run "bindings_with_unredacted" {
  command = apply

  variables {
    keep_unredacted = true
    deepgram        = { enabled = true, callbacks = true }
  }

  assert {
    condition = toset([for one in google_storage_bucket_iam_member.this : "${one.role} ${one.member}" if one.bucket == "a-project-dropscribe-unredacted"]) == toset([
      "roles/storage.objectCreator serviceAccount:job",
      "roles/storage.objectCreator serviceAccount:function",
      "roles/storage.objectCreator serviceAccount:callback",
    ])
    error_message = "Bindings on the bucket of unredacted transcripts: ${jsonencode([for one in google_storage_bucket_iam_member.this : "${one.bucket} ${one.role} ${one.member}"])}"
  }
}

run "bindings_with_unredacted_and_api" {
  command = apply

  variables {
    keep_unredacted = true
    api             = { enabled = true, keys = true, invokers = ["group:editors@example.com"] }
  }

  assert {
    condition = toset([for one in google_storage_bucket_iam_member.this : "${one.role} ${one.member}" if one.bucket == "a-project-dropscribe-unredacted"]) == toset([
      "roles/storage.objectCreator serviceAccount:job",
      "roles/storage.objectUser serviceAccount:function",
      "roles/storage.objectUser serviceAccount:api",
    ])
    error_message = "Bindings on the bucket of unredacted transcripts: ${jsonencode([for one in google_storage_bucket_iam_member.this : "${one.bucket} ${one.role} ${one.member}"])}"
  }
}
