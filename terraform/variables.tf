variable "project" {
  description = "Google Cloud project that holds the pipeline."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{4,28}[a-z0-9]$", var.project))
    error_message = "Not a project id: 6 to 30 lower-case letters, digits and hyphens, a letter first."
  }
}

variable "region" {
  description = "Region of all resources; one that has L4 GPUs, for example us-central1, us-east4, europe-west1, europe-west4 or asia-southeast1."
  type        = string
  default     = "us-central1"

  validation {
    condition     = can(regex("^[a-z]+-[a-z]+[0-9]+$", var.region))
    error_message = "A region, not a multi-region or a zone: us-central1."
  }
}

variable "name" {
  description = "First part of the names of accounts, functions, jobs and metrics."
  type        = string
  default     = "dropscribe"

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{2,18}[a-z0-9]$", var.name))
    error_message = "4 to 20 lower-case letters, digits and hyphens: service account ids end at 30."
  }
}

variable "topic_prefix" {
  description = "First part of the topics' names: PREFIX-work, PREFIX-work-cpu, PREFIX-results, PREFIX-alerts, and -dead ones."
  type        = string
  default     = "transcription"

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,40}$", var.topic_prefix)) && !startswith(var.topic_prefix, "goog")
    error_message = "Lower-case letters, digits and hyphens, a letter first, and not beginning with goog."
  }
}

variable "bucket_prefix" {
  description = "First part of the buckets' names, which are unique in the world; null: PROJECT-NAME."
  type        = string
  default     = null

  validation {
    condition     = var.bucket_prefix == null || can(regex("^[a-z0-9][a-z0-9_-]{1,50}$", coalesce(var.bucket_prefix, "-")))
    error_message = "2 to 51 lower-case letters, digits, hyphens and underscores."
  }
}

variable "labels" {
  description = "Labels of everything that can have labels."
  type        = map(string)
  default     = {}
}

variable "deletion_protection" {
  description = "Whether destroy stops at buckets with objects and the costs table. False: it deletes everything, transcripts included."
  type        = bool
  default     = true
}

variable "release" {
  description = "Build to run: the images' tag, and function-RELEASE.zip in the source bucket. An older one is a rollback."
  type        = string

  validation {
    condition     = can(regex("^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$", var.release))
    error_message = "An image tag: letters, digits, dots, hyphens and underscores."
  }
}

variable "kept_releases" {
  description = "Newest releases whose images are kept; older ones are deleted 30 days after their build. What runs, and what a rollback may need, must be among them."
  type        = number
  default     = 5

  validation {
    condition     = var.kept_releases >= 2 && floor(var.kept_releases) == var.kept_releases
    error_message = "A whole number, at least 2: the release that runs and the one before it."
  }
}

variable "kms_key" {
  description = "Cloud KMS key that encrypts the buckets, projects/P/locations/L/keyRings/R/cryptoKeys/K; null: Google's own keys."
  type        = string
  default     = null

  validation {
    condition     = var.kms_key == null || can(regex("^projects/[^/]+/locations/[^/]+/keyRings/[^/]+/cryptoKeys/[^/]+$", coalesce(var.kms_key, "-")))
    error_message = "The key's full name: projects/P/locations/L/keyRings/R/cryptoKeys/K."
  }
}

variable "lifecycle_days" {
  description = "Days after which uploads, results, unredacted transcripts and job records are deleted; null: never. The ledger is kept."
  type = object({
    uploads    = optional(number)
    results    = optional(number)
    unredacted = optional(number)
    state      = optional(number, 90)
  })
  default  = {}
  nullable = false

  validation {
    condition     = alltrue([for days in values(var.lifecycle_days) : coalesce(days, 1) >= 1 && floor(coalesce(days, 1)) == coalesce(days, 1)])
    error_message = "Whole days, at least one."
  }

  validation {
    condition     = coalesce(var.lifecycle_days.state, 14) >= 14
    error_message = "At least 14 days: job records keep redelivered events from being processed twice."
  }
}

variable "keep_unredacted" {
  description = "Whether transcripts of redacted uploads are kept as they were before, in a bucket of their own (docs/redaction.md)."
  type        = bool
  default     = false
  nullable    = false
}

variable "soft_delete_days" {
  description = "Days for which deleted objects can be restored; 0: none."
  type        = number
  default     = 7

  validation {
    condition     = var.soft_delete_days == 0 || (var.soft_delete_days >= 7 && var.soft_delete_days <= 90)
    error_message = "Cloud Storage allows 0, or 7 to 90 days."
  }
}

variable "gpu_job" {
  description = "Shape of the job with one L4; enabled = false leaves it out, where there is no quota for it. Cloud Run requires at least 4 vCPU and 16 GiB beside an L4, and ends a GPU task after timeout_seconds: at most an hour, or 12 hours as a preview. Maintenance may end it earlier, which counts as a try. disk_gib: ephemeral disk that uploads are fetched to, a preview feature; 0: none, and they take memory. max_parallel_tasks: most executions at once, of one task and one GPU each; with less quota those that run do the work."
  type = object({
    enabled            = optional(bool, true)
    cpu                = optional(number, 4)
    memory_gib         = optional(number, 16)
    disk_gib           = optional(number, 10)
    timeout_seconds    = optional(number, 3600)
    max_retries        = optional(number, 3)
    max_parallel_tasks = optional(number, 5)
  })
  default  = {}
  nullable = false

  validation {
    condition     = (var.gpu_enabled && var.gpu_job.enabled) || var.cpu_job.enabled || var.deepgram.enabled
    error_message = "At least one of gpu_job (with gpu_enabled), cpu_job and deepgram must be enabled."
  }

  validation {
    condition     = contains([4, 6, 8], var.gpu_job.cpu) && var.gpu_job.memory_gib >= 16 && var.gpu_job.memory_gib <= 4 * var.gpu_job.cpu
    error_message = "An L4 takes 4, 6 or 8 vCPU and at least 16 GiB; Cloud Run gives at most 4 GiB to a vCPU."
  }

  validation {
    condition     = var.gpu_job.timeout_seconds > 60 && var.gpu_job.timeout_seconds <= 43200
    error_message = "A GPU task runs for at most 12 hours, 43200 s, and over an hour only as a preview."
  }

  validation {
    condition     = var.gpu_job.max_retries >= 0 && var.gpu_job.max_retries <= 10
    error_message = "Cloud Run retries a task 0 to 10 times."
  }

  validation {
    condition     = var.gpu_job.disk_gib == 0 || (var.gpu_job.disk_gib >= 10 && floor(var.gpu_job.disk_gib) == var.gpu_job.disk_gib)
    error_message = "0, or a whole number of GiB from 10 on; more than 10 needs a quota increase."
  }

  validation {
    condition     = var.gpu_job.max_parallel_tasks >= 1 && var.gpu_job.max_parallel_tasks <= 100 && floor(var.gpu_job.max_parallel_tasks) == var.gpu_job.max_parallel_tasks
    error_message = "1 to 100 executions at once."
  }
}

variable "cpu_job" {
  description = "Shape of the job without a GPU, for lone short uploads, and for all where no GPU is available. disk_gib: as of gpu_job, where the region has disks for it. max_parallel_tasks: most executions at once."
  type = object({
    enabled            = optional(bool, true)
    cpu                = optional(number, 4)
    memory_gib         = optional(number, 8)
    disk_gib           = optional(number, 10)
    timeout_seconds    = optional(number, 3600)
    max_retries        = optional(number, 3)
    max_parallel_tasks = optional(number, 5)
  })
  default  = {}
  nullable = false

  validation {
    condition     = contains([2, 4, 6, 8], var.cpu_job.cpu) && var.cpu_job.memory_gib >= 4 && var.cpu_job.memory_gib <= 4 * var.cpu_job.cpu
    error_message = "2, 4, 6 or 8 vCPU, and 4 GiB or more; Cloud Run gives at most 4 GiB to a vCPU."
  }

  validation {
    condition     = var.cpu_job.timeout_seconds > 60 && var.cpu_job.timeout_seconds <= 86400
    error_message = "More than 60 s and at most a day."
  }

  validation {
    condition     = var.cpu_job.disk_gib == 0 || (var.cpu_job.disk_gib >= 10 && floor(var.cpu_job.disk_gib) == var.cpu_job.disk_gib)
    error_message = "0, or a whole number of GiB from 10 on; more than 10 needs a quota increase."
  }

  validation {
    condition     = var.cpu_job.max_parallel_tasks >= 1 && var.cpu_job.max_parallel_tasks <= 100 && floor(var.cpu_job.max_parallel_tasks) == var.cpu_job.max_parallel_tasks
    error_message = "1 to 100 executions at once."
  }
}

variable "function" {
  description = "Shape of the function. Instances times concurrency is the number of simultaneous requests to Deepgram, which allows 100."
  type = object({
    cpu           = optional(string, "1")
    memory        = optional(string, "1Gi")
    max_instances = optional(number, 10)
    min_instances = optional(number, 0)
    concurrency   = optional(number, 8)
  })
  default  = {}
  nullable = false

  validation {
    condition     = var.function.max_instances * var.function.concurrency <= 100
    error_message = "Deepgram takes 100 requests at once: max_instances x concurrency must not pass that."
  }

  validation {
    condition     = contains(["1", "2", "4", "6", "8"], var.function.cpu) || (var.function.concurrency == 1 && can(regex("^0\\.[0-9]+$", var.function.cpu)))
    error_message = "1, 2, 4, 6 or 8 vCPU; Cloud Run gives a part of one only where concurrency is 1."
  }

  validation {
    condition     = can(regex("^[0-9]+(Mi|Gi)$", var.function.memory))
    error_message = "Memory as Cloud Run writes it: 512Mi, 1Gi."
  }
}

variable "deepgram" {
  description = "Whether Deepgram may be used, and the version of the secret that holds its key. Enable it after adding the key. callbacks: whether Deepgram posts its answers about long audio to a function of their own, which anybody on the internet can call (docs/security.md); enable it after adding the key that signs its addresses."
  type = object({
    enabled        = optional(bool, false)
    secret_version = optional(string, "latest")
    callbacks      = optional(bool, false)
  })
  default  = {}
  nullable = false

  validation {
    condition     = var.deepgram.enabled || !var.deepgram.callbacks
    error_message = "Without Deepgram nobody calls back: callbacks needs enabled."
  }
}

variable "callback_function" {
  description = "Shape of the function that takes Deepgram's callbacks. An answer of 32 MiB takes about 700 MB while it is read, beside 100 MB of the function's own: memory is for as many of them as concurrency lets in; what finds no place gets 429, and Deepgram posts it again 30 s later, up to 10 times."
  type = object({
    memory          = optional(string, "2Gi")
    max_instances   = optional(number, 4)
    concurrency     = optional(number, 2)
    timeout_seconds = optional(number, 120)
  })
  default  = {}
  nullable = false

  validation {
    condition     = var.callback_function.max_instances >= 1 && var.callback_function.max_instances <= 20 && var.callback_function.concurrency >= 1 && var.callback_function.concurrency <= 10
    error_message = "1 to 20 instances with 1 to 10 requests each: whoever calls the address for no good may start them all."
  }

  validation {
    condition     = can(regex("^[0-9]+(Mi|Gi)$", var.callback_function.memory))
    error_message = "Memory as Cloud Run writes it: 512Mi, 1Gi."
  }

  validation {
    condition     = var.callback_function.timeout_seconds >= 60 && var.callback_function.timeout_seconds <= 540
    error_message = "60 to 540 s: an answer is read, and its results are written, in that time."
  }
}

variable "api" {
  description = "Whether there is an HTTP API (docs/api.md), and the shape of its function. invokers: members who may call it, as IAM writes them. keys: whether each request needs a key of the secret as well; enable it after adding that. source_buckets: BUCKET/ or BUCKET/FOLDER/ that recordings may be copied from; grant its account roles/storage.objectViewer there."
  type = object({
    enabled         = optional(bool, false)
    invokers        = optional(list(string), [])
    keys            = optional(bool, false)
    source_buckets  = optional(list(string), [])
    memory          = optional(string, "1Gi")
    max_instances   = optional(number, 4)
    concurrency     = optional(number, 8)
    timeout_seconds = optional(number, 300)
  })
  default  = {}
  nullable = false

  validation {
    condition     = var.api.keys || length(setintersection(var.api.invokers, ["allUsers", "allAuthenticatedUsers"])) == 0
    error_message = "Whom anybody may call needs keys: allUsers and allAuthenticatedUsers take keys = true."
  }

  validation {
    condition     = alltrue([for one in var.api.source_buckets : can(regex("^[a-z0-9][a-z0-9._-]+/([^,]*/)?$", one))])
    error_message = "source_buckets are like BUCKET/ or BUCKET/FOLDER/."
  }

  validation {
    condition     = var.api.max_instances >= 1 && var.api.max_instances <= 20 && var.api.concurrency >= 1 && var.api.concurrency <= 16
    error_message = "1 to 20 instances with 1 to 16 requests each: a body of 30 MB is held in memory."
  }

  validation {
    condition     = can(regex("^[0-9]+(Mi|Gi)$", var.api.memory))
    error_message = "Memory as Cloud Run writes it: 512Mi, 1Gi."
  }

  validation {
    condition     = var.api.timeout_seconds >= 60 && var.api.timeout_seconds <= 3600
    error_message = "60 to 3600 s."
  }
}

variable "webhooks" {
  description = "Outcomes posted to URLs, signed (docs/webhooks.md). urls: of every outcome, ten at most. allowed_origins: where an upload's own `transcribe-webhook` may lead. `make deploy` makes the secret; without it add one before this is enabled."
  type = object({
    enabled         = optional(bool, false)
    urls            = optional(list(string), [])
    allowed_origins = optional(list(string), [])
    max_instances   = optional(number, 4)
  })
  default  = {}
  nullable = false

  validation {
    condition     = !var.webhooks.enabled || length(var.webhooks.urls) + length(var.webhooks.allowed_origins) > 0
    error_message = "Webhooks without urls and without allowed_origins are posted to nobody."
  }

  validation {
    condition     = alltrue([for url in var.webhooks.urls : can(regex("^https://[^,\\s@]+$", url))]) && length(var.webhooks.urls) <= 10
    error_message = "At most ten urls, each https://HOST/PATH without a comma and without a user name."
  }

  validation {
    condition     = alltrue([for origin in var.webhooks.allowed_origins : can(regex("^https://[^,/\\s@]+/?$", origin))])
    error_message = "An allowed origin is https://HOST alone."
  }

  validation {
    condition     = var.webhooks.max_instances >= 1 && var.webhooks.max_instances <= 20
    error_message = "1 to 20 instances."
  }
}

variable "results_schema" {
  description = "Whether Pub/Sub holds the topics of outcomes and of progress to terraform/schemas/outcome.avsc and progress.avsc."
  type        = bool
  default     = true
}

variable "progress_events" {
  description = "Whether how far jobs are is published, by stage, on the topic `events`. Their records say so in any case."
  type        = bool
  default     = true
}

variable "reconcile_schedule" {
  description = "When the reconciler runs, in cron's format."
  type        = string
  default     = "*/5 * * * *"

  validation {
    condition     = length(split(" ", var.reconcile_schedule)) == 5
    error_message = "Five fields: minute, hour, day, month, weekday."
  }
}
