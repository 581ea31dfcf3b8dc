# Values that Google would refuse, or that would cost money quietly, are refused here.

mock_provider "google" {}

variables {
  project = "a-project"
  release = "v1"
}

run "gpu_task_longer_than_half_a_day" {
  command         = plan
  expect_failures = [var.gpu_job]

  variables {
    gpu_job = { timeout_seconds = 43201 }
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

run "no_release_to_go_back_to" {
  command         = plan
  expect_failures = [var.kept_releases]

  variables {
    kept_releases = 1
  }
}

run "gpu_with_too_few_cpus" {
  command         = plan
  expect_failures = [var.gpu_job]

  variables {
    gpu_job = { cpu = 2 }
  }
}

run "more_memory_than_the_cpus_may_have" {
  command         = plan
  expect_failures = [var.cpu_job]

  variables {
    cpu_job = { cpu = 4, memory_gib = 32 }
  }
}

run "more_requests_than_deepgram_takes" {
  command         = plan
  expect_failures = [var.function]

  variables {
    function = { max_instances = 100, concurrency = 8 }
  }
}

run "several_requests_on_a_part_of_a_cpu" {
  command         = plan
  expect_failures = [var.function]

  variables {
    function = { cpu = "0.5" }
  }
}

run "unknown_method" {
  command         = plan
  expect_failures = [var.transcription_method]

  variables {
    transcription_method = "whisper"
  }
}

run "rollout_over_100" {
  command         = plan
  expect_failures = [var.gpu_rollout_percent]

  variables {
    gpu_rollout_percent = 101
  }
}

run "billing_budget_of_nothing" {
  command         = plan
  expect_failures = [var.billing_account]

  variables {
    billing_account = "0A0A0A-0A0A0A-0A0A0A"
  }
}

run "job_records_that_vanish_too_soon" {
  command         = plan
  expect_failures = [var.lifecycle_days]

  variables {
    lifecycle_days = { state = 1 }
  }
}

run "other_telemetry_variables" {
  command         = plan
  expect_failures = [var.otel]

  variables {
    otel = { DEEPGRAM_API_KEY = "x" }
  }
}

run "multi_region" {
  command         = plan
  expect_failures = [var.region]

  variables {
    region = "us"
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
