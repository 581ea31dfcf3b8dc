locals {
  topics = ["work", "work-cpu", "results", "events", "alerts", "work-dead", "results-dead"]

  # Each job has a queue of its own: what is decided for the GPU waits for no CPU, and the other way round.
  work_topics = { gpu = "work", cpu = "work-cpu" }

  topic_schemas = { results = google_pubsub_schema.outcome.id, events = google_pubsub_schema.progress.id }
}

resource "google_pubsub_schema" "outcome" {
  project    = var.project
  name       = "${var.topic_prefix}-outcome"
  type       = "AVRO"
  definition = file("${path.module}/schemas/outcome.avsc")

  depends_on = [google_project_service.api]
}

resource "google_pubsub_schema" "progress" {
  project    = var.project
  name       = "${var.topic_prefix}-progress"
  type       = "AVRO"
  definition = file("${path.module}/schemas/progress.avsc")

  depends_on = [google_project_service.api]
}

resource "google_pubsub_topic" "this" {
  for_each = toset(local.topics)

  project = var.project
  name    = "${var.topic_prefix}-${each.key}"
  labels  = var.labels

  message_storage_policy {
    allowed_persistence_regions = [var.region]
  }

  dynamic "schema_settings" {
    for_each = var.results_schema ? [for topic, schema in local.topic_schemas : schema if topic == each.key] : []

    content {
      schema   = schema_settings.value
      encoding = "JSON"
    }
  }

  depends_on = [google_project_service.api]
}

resource "google_pubsub_subscription" "work" {
  for_each = local.work_topics

  project = var.project
  name    = "${var.topic_prefix}-${each.value}-job"
  topic   = google_pubsub_topic.this[each.value].id
  labels  = var.labels

  # A worker extends the deadline of what it holds; this is how soon the items of a killed worker are redelivered.
  ack_deadline_seconds       = 60
  message_retention_duration = "604800s"

  expiration_policy {
    ttl = ""
  }

  # Busy workers return items several times: only an item that no worker can read is delivered this often.
  dead_letter_policy {
    dead_letter_topic     = google_pubsub_topic.this["work-dead"].id
    max_delivery_attempts = 20
  }

  retry_policy {
    minimum_backoff = "10s"
    maximum_backoff = "600s"
  }
}

# A topic without a subscription drops its messages.
resource "google_pubsub_subscription" "kept" {
  for_each = toset(["alerts", "work-dead", "results-dead"])

  project                    = var.project
  name                       = "${var.topic_prefix}-${each.key}-kept"
  topic                      = google_pubsub_topic.this[each.key].id
  labels                     = var.labels
  message_retention_duration = "604800s"

  expiration_policy {
    ttl = ""
  }
}
