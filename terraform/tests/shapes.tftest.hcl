# What the provider's schema does not check: enum values, the GPU's shape, retry policies, and who may reach what.

mock_provider "google" {}

variables {
  project = "a-project"
  release = "v1"
}

run "defaults" {
  command = apply

  # Nothing is public.

  assert {
    condition = alltrue([
      for bucket in google_storage_bucket.this :
      bucket.public_access_prevention == "enforced" && bucket.uniform_bucket_level_access
    ])
    error_message = "A bucket could be made public."
  }

  assert {
    condition     = length(google_storage_bucket.this) == 4
    error_message = "Buckets: uploads, results, state, source."
  }

  assert {
    condition = alltrue([
      for function in google_cloudfunctions2_function.this :
      function.service_config[0].ingress_settings == "ALLOW_INTERNAL_ONLY"
    ])
    error_message = "A function can be called from outside."
  }

  # Images: the newest releases stay, others go.

  assert {
    condition = [
      for policy in google_artifact_registry_repository.images.cleanup_policies :
      [policy.action, policy.most_recent_versions[0].keep_count] if policy.action == "KEEP"
    ] == [["KEEP", 5]]
    error_message = "The newest five releases are kept: ${jsonencode(google_artifact_registry_repository.images.cleanup_policies)}"
  }

  assert {
    condition = [
      for policy in google_artifact_registry_repository.images.cleanup_policies :
      "${policy.condition[0].tag_state} ${policy.condition[0].older_than}" if policy.action == "DELETE"
    ] == ["ANY 2592000s"]
    error_message = "Other releases are deleted after 30 days, tagged or not."
  }

  assert {
    condition     = length(google_artifact_registry_repository.images.docker_config) == 0
    error_message = "Under immutable tags a cleanup policy deletes nothing."
  }

  # One execution of each job and all instances of the functions: what a new project grants, 20 vCPU and 40 GiB.

  assert {
    condition     = var.gpu_job.cpu + var.cpu_job.cpu + tonumber(var.function.cpu) * var.function.max_instances + 1 <= 20
    error_message = "The defaults take more vCPU than a new project has."
  }

  assert {
    condition     = var.gpu_job.memory_gib + var.cpu_job.memory_gib + tonumber(trimsuffix(var.function.memory, "Gi")) * (var.function.max_instances + 1) <= 40
    error_message = "The defaults take more memory than a new project has."
  }

  assert {
    condition     = var.callback_function.memory == "2Gi" && var.callback_function.max_instances == 4
    error_message = "CALLBACK_VCPU and CALLBACK_GIB of infra/doctor/checks_project.py are of 4 instances with 2 GiB, which have a vCPU each."
  }

  # Buckets.

  assert {
    condition     = alltrue([for bucket in google_storage_bucket.this : bucket.soft_delete_policy[0].retention_duration_seconds == 604800])
    error_message = "Deleted objects can be restored for 7 days."
  }

  assert {
    condition = [
      for rule in google_storage_bucket.this["state"].lifecycle_rule : rule.condition[0].matches_prefix
      if rule.action[0].type == "Delete"
    ] == [tolist(["jobs/"])]
    error_message = "In the state bucket only jobs/ expires: the ledger is kept."
  }

  assert {
    condition     = alltrue([for bucket in google_storage_bucket.this : !bucket.force_destroy && length(bucket.encryption) == 0])
    error_message = "By default buckets with objects stay, under Google's keys."
  }

  assert {
    condition = alltrue([
      for name in ["uploads", "results"] :
      length([for rule in google_storage_bucket.this[name].lifecycle_rule : rule if rule.action[0].type == "Delete"]) == 0
    ])
    error_message = "By default nobody's files are deleted."
  }

  # The GPU job.

  assert {
    condition     = google_cloud_run_v2_job.gpu[0].template[0].template[0].node_selector[0].accelerator == "nvidia-l4"
    error_message = "The accelerator is an L4."
  }

  assert {
    condition = google_cloud_run_v2_job.gpu[0].template[0].template[0].containers[0].resources[0].limits == tomap({
      cpu              = "4"
      memory           = "16Gi"
      "nvidia.com/gpu" = "1"
    })
    error_message = "4 vCPU, 16 GiB and one GPU."
  }

  # Uploads are fetched to a disk, not to memory.

  assert {
    condition = alltrue([
      for job in concat(google_cloud_run_v2_job.gpu, google_cloud_run_v2_job.cpu) :
      job.launch_stage == "BETA"
      && job.template[0].template[0].volumes[0].empty_dir[0].medium == "DISK"
      && job.template[0].template[0].volumes[0].empty_dir[0].size_limit == "10Gi"
      && job.template[0].template[0].volumes[0].name == job.template[0].template[0].containers[0].volume_mounts[0].name
      && { for env in job.template[0].template[0].containers[0].env : env.name => env.value }["SCRATCH_FOLDER"]
      == job.template[0].template[0].containers[0].volume_mounts[0].mount_path
      && { for env in job.template[0].template[0].containers[0].env : env.name => env.value }["JOB_DISK_GIB"] == "10"
    ])
    error_message = "Both jobs have an ephemeral disk of 10 GiB, and know it."
  }

  assert {
    condition     = google_cloud_run_v2_job.gpu[0].template[0].template[0].timeout == "3600s"
    error_message = "A GPU task may run for an hour."
  }

  assert {
    condition     = google_cloud_run_v2_job.gpu[0].template[0].template[0].gpu_zonal_redundancy_disabled == true
    error_message = "Jobs have the quota and the price without zonal redundancy."
  }

  assert {
    condition = alltrue([
      for job in concat(google_cloud_run_v2_job.gpu, google_cloud_run_v2_job.cpu) :
      job.template[0].template[0].execution_environment == "EXECUTION_ENVIRONMENT_GEN2"
      && job.template[0].template[0].max_retries == 3
      && job.template[0].task_count == 1
      && job.template[0].parallelism == 1
    ])
    error_message = "Second generation, one task, three retries: a task that hands its work on is started again."
  }

  assert {
    condition     = google_cloud_run_v2_job.gpu[0].template[0].template[0].containers[0].image == "us-central1-docker.pkg.dev/a-project/dropscribe/gpu:v1"
    error_message = "The release is the image's tag."
  }

  # The CPU job.

  assert {
    condition     = length(google_cloud_run_v2_job.cpu[0].template[0].template[0].node_selector) == 0 && !contains(keys(google_cloud_run_v2_job.cpu[0].template[0].template[0].containers[0].resources[0].limits), "nvidia.com/gpu")
    error_message = "The CPU job has no GPU."
  }

  assert {
    condition     = one([for env in google_cloud_run_v2_job.cpu[0].template[0].template[0].containers[0].env : env.value if env.name == "JOB_GPU"]) == "none"
    error_message = "The CPU job is billed without a GPU."
  }

  assert {
    condition     = google_cloud_run_v2_job.cpu[0].template[0].template[0].containers[0].resources[0].limits == tomap({ cpu = "4", memory = "8Gi" })
    error_message = "4 vCPU and 8 GiB."
  }

  assert {
    condition = alltrue([
      for function in google_cloudfunctions2_function.this :
      function.service_config[0].environment_variables["CPU_JOB_VCPU"] == "4" && function.service_config[0].environment_variables["CPU_JOB_MEMORY_GIB"] == "8"
    ])
    error_message = "Quotes are made for the CPU job's own shape."
  }

  assert {
    condition = alltrue([
      for function in google_cloudfunctions2_function.this :
      function.service_config[0].environment_variables["JOB_DISK_GIB"] == "10" && function.service_config[0].environment_variables["CPU_JOB_DISK_GIB"] == "10"
    ])
    error_message = "Routing must know each job's disk."
  }

  # Events are tried again.

  assert {
    condition     = google_cloudfunctions2_function.this["on_upload"].event_trigger[0].retry_policy == "RETRY_POLICY_RETRY"
    error_message = "A failed event must come again."
  }

  assert {
    condition     = google_cloudfunctions2_function.this["on_upload"].event_trigger[0].event_type == "google.cloud.storage.object.v1.finalized"
    error_message = "The event of a finished upload."
  }

  assert {
    condition     = one(google_cloudfunctions2_function.this["on_upload"].event_trigger[0].event_filters).value == "a-project-dropscribe-uploads" && one(google_cloudfunctions2_function.this["on_upload"].event_trigger[0].event_filters).attribute == "bucket"
    error_message = "Events of the uploads bucket, and of no other."
  }

  assert {
    condition     = google_cloudfunctions2_function.this["on_upload"].event_trigger[0].trigger_region == lower(google_storage_bucket.this["uploads"].location)
    error_message = "A trigger stands where its bucket is."
  }

  assert {
    condition     = length(google_cloudfunctions2_function.this["reconcile"].event_trigger) == 0
    error_message = "The reconciler is called by the scheduler."
  }

  assert {
    condition     = { for entry_point, function in google_cloudfunctions2_function.this : entry_point => [function.build_config[0].entry_point, function.build_config[0].runtime] } == { on_upload = ["on_upload", "python311"], reconcile = ["reconcile", "python311"] }
    error_message = "Entry points of trigger_function/main.py, on Python 3.11."
  }

  assert {
    condition     = alltrue([for function in google_cloudfunctions2_function.this : function.service_config[0].timeout_seconds == 540])
    error_message = "540 s: what an event's handler may take."
  }

  assert {
    condition     = { for entry_point, function in google_cloudfunctions2_function.this : entry_point => [function.service_config[0].environment_variables["THREADS"], function.service_config[0].max_instance_request_concurrency] } == { on_upload = ["8", 8], reconcile = ["1", 1] }
    error_message = "As many threads as requests that are let in at once."
  }

  # The reconciler is called.

  assert {
    condition     = google_cloud_scheduler_job.reconcile.http_target[0].uri == google_cloudfunctions2_function.this["reconcile"].service_config[0].uri && google_cloud_scheduler_job.reconcile.http_target[0].oidc_token[0].audience == google_cloudfunctions2_function.this["reconcile"].service_config[0].uri
    error_message = "The scheduler calls the reconciler, with a token for it."
  }

  assert {
    condition     = google_cloud_scheduler_job.reconcile.http_target[0].http_method == "POST" && google_cloud_scheduler_job.reconcile.schedule == "*/5 * * * *"
    error_message = "A POST every five minutes."
  }
}

run "no_disk_for_the_cpu_job_in_this_region" {
  command = plan

  variables {
    region = "europe-west4"
  }

  assert {
    condition     = length(google_cloud_run_v2_job.gpu[0].template[0].template[0].volumes) == 1
    error_message = "With a GPU every region that has L4s has disks."
  }

  assert {
    condition = (
      length(google_cloud_run_v2_job.cpu[0].template[0].template[0].volumes) == 0
      && length(google_cloud_run_v2_job.cpu[0].template[0].template[0].containers[0].volume_mounts) == 0
      && google_cloud_run_v2_job.cpu[0].launch_stage == "GA"
    )
    error_message = "Without a GPU Cloud Run refuses a disk here."
  }

  assert {
    condition = {
      for env in google_cloud_run_v2_job.cpu[0].template[0].template[0].containers[0].env : env.name => env.value
      if contains(["JOB_DISK_GIB", "SCRATCH_FOLDER"], env.name)
    } == { JOB_DISK_GIB = "0" }
    error_message = "The worker must know that files take memory."
  }

  assert {
    condition = alltrue([
      for function in google_cloudfunctions2_function.this :
      function.service_config[0].environment_variables["JOB_DISK_GIB"] == "10" && function.service_config[0].environment_variables["CPU_JOB_DISK_GIB"] == "0"
    ])
    error_message = "Routing must know which job has no disk."
  }
}

run "no_disks_where_none_are_wanted" {
  command = plan

  variables {
    gpu_job = { disk_gib = 0 }
    cpu_job = { disk_gib = 0 }
  }

  assert {
    condition = alltrue([
      for job in concat(google_cloud_run_v2_job.gpu, google_cloud_run_v2_job.cpu) :
      length(job.template[0].template[0].volumes) == 0 && job.launch_stage == "GA"
    ])
    error_message = "disk_gib = 0 is a job without preview features."
  }
}

run "unredacted" {
  command = apply

  variables {
    keep_unredacted = true
    lifecycle_days  = { unredacted = 30 }
  }

  assert {
    condition = alltrue([
      google_storage_bucket.this["unredacted"].public_access_prevention == "enforced",
      google_storage_bucket.this["unredacted"].uniform_bucket_level_access,
      [for rule in google_storage_bucket.this["unredacted"].lifecycle_rule : rule.condition[0].age if rule.action[0].type == "Delete"] == [30],
    ])
    error_message = "The bucket of unredacted transcripts is as private as the others, and has an age of its own."
  }

  assert {
    condition = alltrue([
      for environment in [
        google_cloudfunctions2_function.this["on_upload"].service_config[0].environment_variables,
        { for one in google_cloud_run_v2_job.gpu[0].template[0].template[0].containers[0].env : one.name => one.value },
      ] : environment["UNREDACTED_BUCKET"] == "a-project-dropscribe-unredacted"
    ])
    error_message = "Function and job know the bucket of unredacted transcripts."
  }
}
