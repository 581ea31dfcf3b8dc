locals {
  outcomes_table = "${var.project}.${google_bigquery_dataset.costs.dataset_id}.${google_bigquery_table.outcomes.table_id}"

  views = {
    outcomes_once  = "Outcomes, each once: Pub/Sub may write a message twice."
    cost_by_day    = "Dollars, audio and uploads of each day, by the time uploads were received in UTC."
    cost_by_method = "The same for each method, with dollars per hour of audio."
    savings        = "Each month's bills beside Deepgram's price for the same audio."
    fallback_rate  = "Share of each day's uploads of which another engine had to transcribe at least a part."
  }
}

resource "google_bigquery_dataset" "costs" {
  project                    = var.project
  dataset_id                 = "${replace(var.name, "-", "_")}_costs"
  location                   = var.region
  description                = "How uploads ended and what they cost."
  labels                     = var.labels
  delete_contents_on_destroy = !var.deletion_protection

  depends_on = [google_project_service.api]
}

resource "google_bigquery_table" "outcomes" {
  project             = var.project
  dataset_id          = google_bigquery_dataset.costs.dataset_id
  table_id            = "outcomes"
  description         = "Terminal messages as they were published, and Pub/Sub's own columns."
  labels              = var.labels
  schema              = file("${path.module}/schemas/outcomes_table.json")
  clustering          = ["outcome"]
  deletion_protection = var.deletion_protection

  time_partitioning {
    type  = "DAY"
    field = "received_at"
  }
}

resource "google_bigquery_table" "once" {
  project             = var.project
  dataset_id          = google_bigquery_dataset.costs.dataset_id
  table_id            = "outcomes_once"
  description         = local.views["outcomes_once"]
  labels              = var.labels
  deletion_protection = false

  view {
    query          = templatefile("${path.module}/views/outcomes_once.sql", { outcomes = local.outcomes_table })
    use_legacy_sql = false
  }
}

resource "google_bigquery_table" "view" {
  for_each = { for name, about in local.views : name => about if name != "outcomes_once" }

  project             = var.project
  dataset_id          = google_bigquery_dataset.costs.dataset_id
  table_id            = each.key
  description         = each.value
  labels              = var.labels
  deletion_protection = false

  view {
    query = templatefile("${path.module}/views/${each.key}.sql", {
      outcomes = "${var.project}.${google_bigquery_dataset.costs.dataset_id}.${google_bigquery_table.once.table_id}"
    })
    use_legacy_sql = false
  }
}

resource "google_pubsub_subscription" "costs" {
  project = var.project
  name    = "${var.topic_prefix}-results-costs"
  topic   = google_pubsub_topic.this["results"].id
  labels  = var.labels

  # The table's columns, not the topic's schema, say what is kept: the schema knows only fields that are never null.
  bigquery_config {
    table                 = local.outcomes_table
    use_table_schema      = true
    drop_unknown_fields   = true
    write_metadata        = true
    service_account_email = google_service_account.this["warehouse"].email
  }

  expiration_policy {
    ttl = ""
  }

  dead_letter_policy {
    dead_letter_topic     = google_pubsub_topic.this["results-dead"].id
    max_delivery_attempts = 10
  }

  retry_policy {
    minimum_backoff = "10s"
    maximum_backoff = "600s"
  }

  # Pub/Sub tries at once whether it may write, and a role is known everywhere after minutes only: the functions' build
  # takes as many.
  depends_on = [
    google_bigquery_dataset_iam_member.warehouse,
    google_service_account_iam_member.token_creator,
    google_cloudfunctions2_function.this,
  ]
}
