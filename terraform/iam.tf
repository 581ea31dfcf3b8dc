# One account per component, and every role on the one resource it is for. Five stand on the project, because nothing
# narrower can hold them: they are in project_roles with the reason.

locals {
  optional_components = merge(
    local.has_callbacks ? { callback = "Takes Deepgram's callbacks." } : {},
    local.has_api ? { api = "Answers the HTTP API." } : {},
    local.has_webhooks ? { webhooks = "Posts outcomes to URLs." } : {},
  )
  components = merge(local.optional_components, {
    function  = "Inspects uploads, routes them, and reconciles."
    job       = "Transcribes."
    trigger   = "Delivers the uploads bucket's events to the function."
    scheduler = "Calls the reconciler."
    build     = "Builds the function's image."
    warehouse = "Writes outcomes into the costs table."
  })

  member = { for component, account in google_service_account.this : component => "serviceAccount:${account.email}" }

  project_roles = {
    # Eventarc checks it on the project of the trigger.
    trigger_events = { role = "roles/eventarc.eventReceiver", member = local.member["trigger"], condition = null }
    # The bucket's agent publishes to the trigger's own topic, whose name Eventarc makes up.
    storage_events = { role = "roles/pubsub.publisher", member = local.storage_agent, condition = null }
    # It makes the trigger's topic, and looks at the bucket. An agent that was made on request has no role yet.
    eventarc_agent = { role = "roles/eventarc.serviceAgent", member = local.eventarc_agent, condition = null }
    # Logs have no resource of their own to be written to.
    build_logs = { role = "roles/logging.logWriter", member = local.member["build"], condition = null }
    # Cloud Functions copies the source into a bucket that it creates itself.
    build_source = {
      role      = "roles/storage.objectViewer"
      member    = local.member["build"]
      condition = "resource.name.startsWith(\"projects/_/buckets/gcf-v2-sources-${data.google_project.this.number}-\")"
    }
  }

  # Who takes a callback finishes its job: record, results, outcome.
  callback_bucket_roles = local.has_callbacks ? {
    callback_results = { bucket = "results", role = "roles/storage.objectUser", member = local.member["callback"] }
    callback_state   = { bucket = "state", role = "roles/storage.objectUser", member = local.member["callback"] }
  } : {}
  callback_topic_publishers = local.has_callbacks ? {
    callback_results = { topic = "results", member = local.member["callback"] }
    callback_events  = { topic = "events", member = local.member["callback"] }
  } : {}

  # Job records, and what was posted. A webhook has addresses alone; but what answers a request with Deepgram's `callback`,
  # which takes an origin that uploads may name, is the transcript itself.
  webhook_bucket_roles = merge(
    local.has_webhooks ? {
      webhooks_state = { bucket = "state", role = "roles/storage.objectUser", member = local.member["webhooks"] }
    } : {},
    local.has_webhooks && length(var.webhooks.allowed_origins) > 0 ? {
      webhooks_results = { bucket = "results", role = "roles/storage.objectViewer", member = local.member["webhooks"] }
    } : {}
  )

  # It stores recordings, and erases them with all that was made of them; what it erases ends with a message.
  api_bucket_roles = local.has_api ? {
    for bucket in ["uploads", "results", "state"] :
    "api_${bucket}" => { bucket = bucket, role = "roles/storage.objectUser", member = local.member["api"] }
  } : {}
  api_topic_publishers = local.has_api ? {
    for topic in ["results", "events"] : "api_${topic}" => { topic = topic, member = local.member["api"] }
  } : {}

  # Whoever ends jobs puts transcripts there, and nobody of them reads one. Only erasing takes more.
  unredacted_roles = var.keep_unredacted ? merge({
    unredacted_job      = { member = local.member["job"], erases = false }
    unredacted_function = { member = local.member["function"], erases = local.has_api }
    },
    local.has_callbacks ? { unredacted_callback = { member = local.member["callback"], erases = false } } : {},
    local.has_api ? { unredacted_api = { member = local.member["api"], erases = true } } : {},
  ) : {}
  unredacted_bucket_roles = {
    for name, one in local.unredacted_roles :
    name => { bucket = "unredacted", role = one.erases ? "roles/storage.objectUser" : "roles/storage.objectCreator", member = one.member }
  }

  bucket_roles = merge(local.callback_bucket_roles, local.api_bucket_roles, local.webhook_bucket_roles, local.unredacted_bucket_roles, {
    # The reconciler goes on with erasures that were interrupted, which only the API begins by itself.
    function_uploads = { bucket = "uploads", role = local.has_api ? "roles/storage.objectUser" : "roles/storage.objectViewer", member = local.member["function"] }
    function_results = { bucket = "results", role = "roles/storage.objectUser", member = local.member["function"] }
    function_state   = { bucket = "state", role = "roles/storage.objectUser", member = local.member["function"] }
    job_uploads      = { bucket = "uploads", role = "roles/storage.objectViewer", member = local.member["job"] }
    job_results      = { bucket = "results", role = "roles/storage.objectUser", member = local.member["job"] }
    job_state        = { bucket = "state", role = "roles/storage.objectUser", member = local.member["job"] }
    build_source     = { bucket = "source", role = "roles/storage.objectViewer", member = local.member["build"] }
  })

  topic_publishers = merge(local.callback_topic_publishers, local.api_topic_publishers, {
    function_work    = { topic = "work", member = local.member["function"] }
    function_cpu     = { topic = "work-cpu", member = local.member["function"] }
    function_results = { topic = "results", member = local.member["function"] }
    function_events  = { topic = "events", member = local.member["function"] }
    function_alerts  = { topic = "alerts", member = local.member["function"] }
    job_results      = { topic = "results", member = local.member["job"] }
    job_events       = { topic = "events", member = local.member["job"] }
    dead_work        = { topic = "work-dead", member = local.pubsub_agent }
    dead_results     = { topic = "results-dead", member = local.pubsub_agent }
  })

  subscribers = {
    job_work     = { subscription = google_pubsub_subscription.work["gpu"].name, member = local.member["job"] }
    job_cpu      = { subscription = google_pubsub_subscription.work["cpu"].name, member = local.member["job"] }
    dead_work    = { subscription = google_pubsub_subscription.work["gpu"].name, member = local.pubsub_agent }
    dead_cpu     = { subscription = google_pubsub_subscription.work["cpu"].name, member = local.pubsub_agent }
    dead_results = { subscription = google_pubsub_subscription.costs.name, member = local.pubsub_agent }
  }

  # The build pushes both the functions' images and the jobs'.
  repositories = {
    functions = google_artifact_registry_repository.functions.repository_id
    images    = google_artifact_registry_repository.images.repository_id
  }

  invokers = {
    on_upload = local.member["trigger"]
    reconcile = local.member["scheduler"]
  }

  token_creators = merge(local.has_api ? {
    # The API gives signed URLs away, too.
    api_itself = { account = "api", member = local.member["api"] }
    } : {}, {
    # A signed URL is signed by the account itself: signBlob.
    function_itself = { account = "function", member = local.member["function"] }
    # Pub/Sub brings the events as this account.
    pubsub_trigger = { account = "trigger", member = local.pubsub_agent }
    # Pub/Sub writes to BigQuery as this account.
    pubsub_warehouse = { account = "warehouse", member = local.pubsub_agent }
  })
}

resource "google_service_account" "this" {
  for_each = local.components

  project      = var.project
  account_id   = "${var.name}-${each.key}"
  display_name = "${var.name} ${each.key}"
  description  = each.value

  depends_on = [google_project_service.api]
}

resource "google_project_iam_member" "this" {
  for_each = local.project_roles

  project = var.project
  role    = each.value.role
  member  = each.value.member

  dynamic "condition" {
    for_each = each.value.condition == null ? [] : [each.value.condition]

    content {
      title      = "${var.name}-${replace(each.key, "_", "-")}"
      expression = condition.value
    }
  }
}

resource "google_storage_bucket_iam_member" "this" {
  for_each = local.bucket_roles

  bucket = google_storage_bucket.this[each.value.bucket].name
  role   = each.value.role
  member = each.value.member
}

resource "google_pubsub_topic_iam_member" "publisher" {
  for_each = local.topic_publishers

  project = var.project
  topic   = google_pubsub_topic.this[each.value.topic].name
  role    = "roles/pubsub.publisher"
  member  = each.value.member
}

resource "google_pubsub_subscription_iam_member" "subscriber" {
  for_each = local.subscribers

  project      = var.project
  subscription = each.value.subscription
  role         = "roles/pubsub.subscriber"
  member       = each.value.member
}

# The job is started as it is: who may override its command or environment could do all that its account may.
resource "google_cloud_run_v2_job_iam_member" "gpu_executor" {
  count = length(google_cloud_run_v2_job.gpu)

  project  = var.project
  location = var.region
  name     = google_cloud_run_v2_job.gpu[0].name
  role     = "roles/run.invoker"
  member   = local.member["function"]
}

resource "google_cloud_run_v2_job_iam_member" "cpu_executor" {
  count = length(google_cloud_run_v2_job.cpu)

  project  = var.project
  location = var.region
  name     = google_cloud_run_v2_job.cpu[0].name
  role     = "roles/run.invoker"
  member   = local.member["function"]
}

# Workers start more executions of the job where the backlog is worth them.
resource "google_cloud_run_v2_job_iam_member" "gpu_worker" {
  count = length(google_cloud_run_v2_job.gpu)

  project  = var.project
  location = var.region
  name     = google_cloud_run_v2_job.gpu[0].name
  role     = "roles/run.invoker"
  member   = local.member["job"]
}

resource "google_cloud_run_v2_job_iam_member" "cpu_worker" {
  count = length(google_cloud_run_v2_job.cpu)

  project  = var.project
  location = var.region
  name     = google_cloud_run_v2_job.cpu[0].name
  role     = "roles/run.invoker"
  member   = local.member["job"]
}

resource "google_cloud_run_v2_service_iam_member" "invoker" {
  for_each = local.invokers

  project  = var.project
  location = var.region
  name     = google_cloudfunctions2_function.this[each.key].name
  role     = "roles/run.invoker"
  member   = each.value
}

resource "google_service_account_iam_member" "token_creator" {
  for_each = local.token_creators

  service_account_id = google_service_account.this[each.value.account].name
  role               = "roles/iam.serviceAccountTokenCreator"
  member             = each.value.member
}

resource "google_secret_manager_secret_iam_member" "accessor" {
  for_each = toset(["function", "job"])

  project   = var.project
  secret_id = google_secret_manager_secret.deepgram.secret_id
  role      = "roles/secretmanager.secretAccessor"
  member    = local.member[each.key]
}

resource "google_artifact_registry_repository_iam_member" "writer" {
  for_each = local.repositories

  project    = var.project
  location   = var.region
  repository = each.value
  role       = "roles/artifactregistry.writer"
  member     = local.member["build"]
}

resource "google_bigquery_dataset_iam_member" "warehouse" {
  for_each = toset(["roles/bigquery.dataEditor", "roles/bigquery.metadataViewer"])

  project    = var.project
  dataset_id = google_bigquery_dataset.costs.dataset_id
  role       = each.key
  member     = local.member["warehouse"]
}

resource "google_kms_crypto_key_iam_member" "storage" {
  count = var.kms_key == null ? 0 : 1

  crypto_key_id = var.kms_key
  role          = "roles/cloudkms.cryptoKeyEncrypterDecrypter"
  member        = local.storage_agent
}
