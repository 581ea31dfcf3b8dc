# Values that Google would refuse, or that would cost money quietly, are refused here.

mock_provider "google" {}

variables {
  project = "a-project"
  release = "v1"
}

# Values that do not keep one another from being looked at share a plan: every variable of `expect_failures` has to refuse
# its own. gpu_job is looked at only where cpu_job is valid.

run "refused" {
  command = plan
  expect_failures = [
    var.kept_releases, var.cpu_job, var.function, var.transcription_method, var.gpu_rollout_percent,
    var.billing_account, var.lifecycle_days, var.otel, var.region,
  ]

  variables {
    # No release to go back to.
    kept_releases = 1
    # More memory than the vCPU may have.
    cpu_job = { cpu = 4, memory_gib = 32 }
    # More requests than Deepgram takes.
    function             = { max_instances = 100, concurrency = 8 }
    transcription_method = "whisper"
    gpu_rollout_percent  = 101
    # A billing account without an amount for its budget.
    billing_account = "0A0A0A-0A0A0A-0A0A0A"
    # Job records that vanish too soon.
    lifecycle_days = { state = 1 }
    # Not a variable of OpenTelemetry.
    otel = { DEEPGRAM_API_KEY = "x" }
    # A multi-region.
    region = "us"
  }
}

run "refused_too" {
  command         = plan
  expect_failures = [var.gpu_job, var.function]

  variables {
    # A task longer than half a day.
    gpu_job = { timeout_seconds = 43201 }
    # Several requests on a part of a vCPU.
    function = { cpu = "0.5" }
  }
}

run "gpu_with_too_few_cpus" {
  command         = plan
  expect_failures = [var.gpu_job]

  variables {
    gpu_job = { cpu = 2 }
  }
}

run "nobody_to_transcribe" {
  command         = plan
  expect_failures = [var.gpu_job]

  variables {
    gpu_job = { enabled = false }
    cpu_job = { enabled = false }
  }
}

run "gpu_task_of_half_a_day" {
  command = apply

  variables {
    gpu_job = { timeout_seconds = 43200 }
  }

  assert {
    condition     = anytrue([for resource in [google_cloud_run_v2_job.gpu[0]] : resource.template[0].template[0].timeout == "43200s" && contains([for env in resource.template[0].template[0].containers[0].env : "${env.name}=${env.value}"], "TASK_TIMEOUT_SECONDS=43200")])
    error_message = "Cloud Run and the worker know of the same 12 hours."
  }
}

run "without_a_gpu_job" {
  command = apply

  variables {
    gpu_job = { enabled = false }
  }

  assert {
    condition     = length(google_cloud_run_v2_job.gpu) == 0 && length(google_cloud_run_v2_job.cpu) == 1 && output.jobs == ["projects/a-project/locations/us-central1/jobs/dropscribe-cpu"]
    error_message = "There is a CPU job alone: ${jsonencode(output.jobs)}"
  }

  assert {
    condition = alltrue([
      for function in google_cloudfunctions2_function.this :
      function.service_config[0].environment_variables["ENABLE_GPU_TRANSCRIPTION"] == "false"
    ])
    error_message = "The functions do not ask for a job that is not there."
  }

  assert {
    condition = alltrue([
      for function in google_cloudfunctions2_function.this :
      !contains(keys(function.service_config[0].environment_variables), "GPU_JOB")
      && function.service_config[0].environment_variables["CPU_JOB"] == "projects/a-project/locations/us-central1/jobs/dropscribe-cpu"
    ])
    error_message = "The functions know of the CPU job alone, and without a Deepgram key it does everything."
  }
}

run "without_a_gpu" {
  command = apply

  variables {
    gpu_enabled = false
  }

  assert {
    condition     = length(google_cloud_run_v2_job.gpu) == 0 && length(google_cloud_run_v2_job_iam_member.gpu_executor) == 0 && !contains(keys(google_monitoring_alert_policy.query), "gpu_use")
    error_message = "Neither a GPU job nor its role nor its alerts."
  }

  assert {
    condition     = length(google_cloud_run_v2_job.cpu) == 1 && length(google_cloud_run_v2_job_iam_member.cpu_executor) == 1
    error_message = "The CPU job, which the function may start."
  }

  assert {
    condition     = alltrue([for function in google_cloudfunctions2_function.this : !contains(keys(function.service_config[0].environment_variables), "GPU_JOB")])
    error_message = "The functions know of no GPU job."
  }
}

run "gpu_and_cpu" {
  command = apply

  assert {
    condition     = output.jobs == ["projects/a-project/locations/us-central1/jobs/dropscribe-gpu", "projects/a-project/locations/us-central1/jobs/dropscribe-cpu"]
    error_message = "By default both jobs: ${jsonencode(output.jobs)}"
  }

  assert {
    condition     = length(google_cloud_run_v2_job_iam_member.gpu_executor) == 1 && length(google_cloud_run_v2_job_iam_member.cpu_executor) == 1
    error_message = "A role on each."
  }

  assert {
    condition     = alltrue([for job in concat(google_cloud_run_v2_job.gpu, google_cloud_run_v2_job.cpu) : !job.deletion_protection])
    error_message = "A job can be left out again by one apply."
  }
}

run "cpu_job_and_deepgram" {
  command = apply

  variables {
    gpu_job  = { enabled = false }
    deepgram = { enabled = true }
  }

  assert {
    condition = length(google_cloud_run_v2_job.gpu) == 0 && length(google_cloud_run_v2_job.cpu) == 1 && alltrue([
      for function in google_cloudfunctions2_function.this :
      length(function.service_config[0].secret_environment_variables) == 1 && contains(keys(function.service_config[0].environment_variables), "CPU_JOB")
    ])
    error_message = "The CPU job and Deepgram."
  }
}

run "without_a_cpu_job" {
  command = apply

  variables {
    cpu_job = { enabled = false }
  }

  assert {
    condition     = length(google_cloud_run_v2_job.gpu) == 1 && length(google_cloud_run_v2_job.cpu) == 0 && length(google_cloud_run_v2_job_iam_member.gpu_executor) == 1 && length(google_cloud_run_v2_job_iam_member.cpu_executor) == 0 && length(output.jobs) == 1
    error_message = "There is a GPU job alone."
  }

  assert {
    condition     = !contains(keys(google_cloudfunctions2_function.this["on_upload"].service_config[0].environment_variables), "CPU_JOB")
    error_message = "The function knows of no CPU job."
  }
}

run "deepgram_alone" {
  command = apply

  variables {
    gpu_job  = { enabled = false }
    cpu_job  = { enabled = false }
    deepgram = { enabled = true }
  }

  assert {
    condition     = length(concat(google_cloud_run_v2_job.gpu, google_cloud_run_v2_job.cpu)) == 0
    error_message = "There is no job."
  }

  assert {
    condition     = alltrue([for metric in google_logging_metric.distribution : !strcontains(metric.filter, "()")])
    error_message = "Logging refuses a filter with nothing between its brackets."
  }
}

run "gpu_disk_smaller_than_cloud_run_has" {
  command         = plan
  expect_failures = [var.gpu_job]

  variables {
    gpu_job = { disk_gib = 5 }
  }
}

run "disk_of_half_a_gib" {
  command         = plan
  expect_failures = [var.cpu_job]

  variables {
    cpu_job = { disk_gib = 10.5 }
  }
}
