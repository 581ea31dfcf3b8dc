locals {
  accelerator  = "nvidia-l4"
  gpu_job_name = "${var.name}-gpu"

  jobs = merge(
    {
      for shape in [var.gpu_job] : "gpu" => {
        shape       = shape
        accelerator = local.accelerator
        limits      = { "nvidia.com/gpu" = "1" }
      } if shape.enabled
    },
    { for shape in [var.cpu_job] : "cpu" => { shape = shape, accelerator = null, limits = {} } if shape.enabled },
  )
}

resource "google_cloud_run_v2_job" "this" {
  for_each = local.jobs

  project             = var.project
  location            = var.region
  name                = "${var.name}-${each.key}"
  deletion_protection = var.deletion_protection
  labels              = var.labels

  template {
    parallelism = 1
    task_count  = 1

    template {
      service_account       = google_service_account.this["job"].email
      timeout               = "${each.value.shape.timeout_seconds}s"
      max_retries           = each.value.shape.max_retries
      execution_environment = "EXECUTION_ENVIRONMENT_GEN2"

      # The quota and the price of jobs are those without redundancy.
      gpu_zonal_redundancy_disabled = each.value.accelerator == null ? null : true

      dynamic "node_selector" {
        for_each = each.value.accelerator == null ? [] : [each.value.accelerator]

        content {
          accelerator = node_selector.value
        }
      }

      containers {
        image = "${local.images}/${each.key}:${var.release}"

        resources {
          limits = merge(each.value.limits, {
            cpu    = tostring(each.value.shape.cpu)
            memory = "${each.value.shape.memory_gib}Gi"
          })
        }

        dynamic "env" {
          for_each = local.job_environment[each.key]

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
