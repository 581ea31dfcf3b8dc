# A resource for each job, although they are alike: Google refuses a job with a GPU where there is no quota for one, and
# whatever depends on a resource is not made when one of its instances fails. So nothing but roles on it depends on the
# GPU job, and a deployment whose GPU is refused works with what is left. No job is protected: it holds nothing, and
# gpu_enabled = false must be able to take it away.

locals {
  accelerator  = "nvidia-l4"
  gpu_job_name = "${var.name}-gpu"
  has_gpu_job  = var.gpu_enabled && var.gpu_job.enabled

  # Without a GPU, Cloud Run has ephemeral disks in these regions only; with one, wherever it has GPUs (its documentation,
  # April 2026).
  disk_regions = [
    "asia-northeast1", "europe-west1", "northamerica-northeast1", "northamerica-northeast2",
    "us-central1", "us-east1", "us-east4", "us-west1",
  ]
  disk_gib = {
    gpu = var.gpu_job.disk_gib
    cpu = contains(local.disk_regions, var.region) ? var.cpu_job.disk_gib : 0
  }
  scratch_folder = "/mnt/scratch"

  jobs = merge(
    local.has_gpu_job ? { gpu = { shape = var.gpu_job, accelerator = local.accelerator } } : {},
    { for shape in [var.cpu_job] : "cpu" => { shape = shape, accelerator = null } if shape.enabled },
  )
}

resource "google_cloud_run_v2_job" "gpu" {
  count = contains(keys(local.jobs), "gpu") ? 1 : 0

  project             = var.project
  location            = var.region
  name                = "${var.name}-gpu"
  deletion_protection = false

  # The disk is a preview feature.
  launch_stage = local.disk_gib["gpu"] > 0 ? "BETA" : "GA"
  labels       = var.labels

  template {
    parallelism = 1
    task_count  = 1

    template {
      service_account       = google_service_account.this["job"].email
      timeout               = "${var.gpu_job.timeout_seconds}s"
      max_retries           = var.gpu_job.max_retries
      execution_environment = "EXECUTION_ENVIRONMENT_GEN2"

      # The quota and the price of jobs are those without redundancy.
      gpu_zonal_redundancy_disabled = true

      node_selector {
        accelerator = local.accelerator
      }

      dynamic "volumes" {
        for_each = local.disk_gib["gpu"] > 0 ? [local.disk_gib["gpu"]] : []

        content {
          name = "scratch"

          empty_dir {
            medium     = "DISK"
            size_limit = "${volumes.value}Gi"
          }
        }
      }

      containers {
        image = "${local.images}/gpu:${var.release}"

        dynamic "volume_mounts" {
          for_each = local.disk_gib["gpu"] > 0 ? [local.scratch_folder] : []

          content {
            name       = "scratch"
            mount_path = volume_mounts.value
          }
        }

        resources {
          limits = {
            cpu              = tostring(var.gpu_job.cpu)
            memory           = "${var.gpu_job.memory_gib}Gi"
            "nvidia.com/gpu" = "1"
          }
        }

        dynamic "env" {
          for_each = local.job_environment["gpu"]

          content {
            name  = env.key
            value = env.value
          }
        }

        dynamic "env" {
          for_each = local.deepgram_key

          content {
            name = env.key
            value_source {
              secret_key_ref {
                secret  = env.value.secret
                version = env.value.version
              }
            }
          }
        }
      }
    }
  }

  depends_on = [google_project_service.api, google_secret_manager_secret_iam_member.accessor]
}

resource "google_cloud_run_v2_job" "cpu" {
  count = contains(keys(local.jobs), "cpu") ? 1 : 0

  project             = var.project
  location            = var.region
  name                = "${var.name}-cpu"
  deletion_protection = false

  # The disk is a preview feature.
  launch_stage = local.disk_gib["cpu"] > 0 ? "BETA" : "GA"
  labels       = var.labels

  template {
    parallelism = 1
    task_count  = 1

    template {
      service_account       = google_service_account.this["job"].email
      timeout               = "${var.cpu_job.timeout_seconds}s"
      max_retries           = var.cpu_job.max_retries
      execution_environment = "EXECUTION_ENVIRONMENT_GEN2"

      dynamic "volumes" {
        for_each = local.disk_gib["cpu"] > 0 ? [local.disk_gib["cpu"]] : []

        content {
          name = "scratch"

          empty_dir {
            medium     = "DISK"
            size_limit = "${volumes.value}Gi"
          }
        }
      }

      containers {
        image = "${local.images}/cpu:${var.release}"

        dynamic "volume_mounts" {
          for_each = local.disk_gib["cpu"] > 0 ? [local.scratch_folder] : []

          content {
            name       = "scratch"
            mount_path = volume_mounts.value
          }
        }

        resources {
          limits = {
            cpu    = tostring(var.cpu_job.cpu)
            memory = "${var.cpu_job.memory_gib}Gi"
          }
        }

        dynamic "env" {
          for_each = local.job_environment["cpu"]

          content {
            name  = env.key
            value = env.value
          }
        }

        dynamic "env" {
          for_each = local.deepgram_key

          content {
            name = env.key
            value_source {
              secret_key_ref {
                secret  = env.value.secret
                version = env.value.version
              }
            }
          }
        }
      }
    }
  }

  depends_on = [google_project_service.api, google_secret_manager_secret_iam_member.accessor]
}
