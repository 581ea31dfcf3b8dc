output "buckets" {
  description = "Bucket names: uploads, results, state, source."
  value       = { for purpose, bucket in google_storage_bucket.this : purpose => bucket.name }
}

output "topics" {
  description = "Pub/Sub topics: work, work-cpu, results, events, alerts, and the dead letters'."
  value       = { for purpose, topic in google_pubsub_topic.this : purpose => topic.id }
}

output "images" {
  description = "Registry address of the images: IMAGES/gpu:RELEASE and IMAGES/cpu:RELEASE."
  value       = local.images
}

output "jobs" {
  description = "Full names of the existing jobs, as in GPU_JOB and CPU_JOB."
  value       = [for job in concat(google_cloud_run_v2_job.gpu, google_cloud_run_v2_job.cpu) : "${local.job_name_prefix}/${job.name}"]
}

output "functions" {
  description = "Names of the functions by entry point."
  value = merge(
    { for entry_point, function in google_cloudfunctions2_function.this : entry_point => function.name },
    { for function in google_cloudfunctions2_function.callback : "deepgram_callback" => function.name },
    { for function in google_cloudfunctions2_function.api : "api" => function.name },
    { for function in google_cloudfunctions2_function.webhook : "webhook" => function.name },
  )
}

output "service_accounts" {
  description = "Mail addresses of the components' accounts."
  value       = { for component, account in google_service_account.this : component => account.email }
}

output "deepgram_secret" {
  description = "Secret to which the Deepgram key is added."
  value       = google_secret_manager_secret.deepgram.secret_id
}

output "costs_dataset" {
  description = "BigQuery dataset of the outcomes and the views over them."
  value       = "${var.project}.${google_bigquery_dataset.costs.dataset_id}"
}

output "subscribe_command" {
  description = "Command that subscribes to all outcomes."
  value       = "gcloud pubsub subscriptions create my-transcripts --project=${var.project} --topic=${google_pubsub_topic.this["results"].name}"
}

output "add_deepgram_key_command" {
  description = "Command that adds the Deepgram key, read from standard input."
  value       = "gcloud secrets versions add ${google_secret_manager_secret.deepgram.secret_id} --project=${var.project} --data-file=-"
}

output "add_callback_key_command" {
  description = "Command that adds a random key for the addresses of Deepgram's callbacks; null: there are none."
  value       = local.has_callbacks ? "openssl rand -hex 32 | gcloud secrets versions add ${google_secret_manager_secret.callback[0].secret_id} --project=${var.project} --data-file=-" : null
}

output "api_url" {
  description = "Address of the HTTP API; null: there is none."
  value       = one(google_cloudfunctions2_function.api[*].service_config[0].uri)
}

output "add_api_keys_command" {
  description = "Command that adds the list of API keys, read from standard input; null: there are none."
  value       = local.has_api_keys ? "gcloud secrets versions add ${google_secret_manager_secret.api[0].secret_id} --project=${var.project} --data-file=-" : null
}

output "add_webhook_secret_command" {
  description = "Command that adds a random secret with which webhooks are signed; null: there are none."
  value       = local.has_webhooks ? "printf 'whsec_%s' \"$(openssl rand -base64 32)\" | gcloud secrets versions add ${google_secret_manager_secret.webhooks[0].secret_id} --project=${var.project} --data-file=-" : null
}
