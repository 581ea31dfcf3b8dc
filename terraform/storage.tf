locals {
  bucket_prefix = coalesce(var.bucket_prefix, "${var.project}-${var.name}")

  # An upload's record and outcome lie beside its checkpoints, under jobs/ID/. Lifecycle rules know prefixes only, and
  # whoever publishes the outcome deletes the checkpoints, so all of jobs/ has one age. ledger/, open/ and health/ are kept.
  expiry = merge({
    uploads = { days = var.lifecycle_days.uploads, prefixes = null }
    results = { days = var.lifecycle_days.results, prefixes = null }
    state   = { days = var.lifecycle_days.state, prefixes = ["jobs/"] }
    source  = { days = null, prefixes = null }
    }, var.keep_unredacted ? {
    unredacted = { days = var.lifecycle_days.unredacted, prefixes = null }
  } : {})
}

resource "google_storage_bucket" "this" {
  for_each = local.expiry

  name                        = "${local.bucket_prefix}-${each.key}"
  project                     = var.project
  location                    = var.region
  storage_class               = "STANDARD"
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"
  force_destroy               = !var.deletion_protection
  labels                      = var.labels

  soft_delete_policy {
    retention_duration_seconds = var.soft_delete_days * 86400
  }

  dynamic "lifecycle_rule" {
    for_each = each.value.days == null ? [] : [each.value]

    content {
      action {
        type = "Delete"
      }
      condition {
        age            = lifecycle_rule.value.days
        matches_prefix = lifecycle_rule.value.prefixes
      }
    }
  }

  # Answers to requests with an Idempotency-Key, which name uploads.
  dynamic "lifecycle_rule" {
    for_each = each.key == "state" && local.has_api ? [2] : []

    content {
      action {
        type = "Delete"
      }
      condition {
        age            = lifecycle_rule.value
        matches_prefix = ["api/requests/"]
      }
    }
  }

  lifecycle_rule {
    action {
      type = "AbortIncompleteMultipartUpload"
    }
    condition {
      age = 1
    }
  }

  dynamic "encryption" {
    for_each = var.kms_key == null ? [] : [var.kms_key]

    content {
      default_kms_key_name = encryption.value
    }
  }

  depends_on = [google_project_service.api, google_kms_crypto_key_iam_member.storage]
}
