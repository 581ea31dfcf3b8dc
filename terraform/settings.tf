# Settings of function and job that the deployment does not fill in itself; docs/configuration.md explains them. What is
# left out keeps the default of the settings models, which stand nowhere else. A test compares names and types.

variable "settings" {
  description = "Settings that function and job share."
  type = object({
    work_idle_seconds             = optional(number)
    target_drain_minutes          = optional(number)
    launch_seconds                = optional(number)
    gpu_startup_seconds           = optional(number)
    cpu_startup_seconds           = optional(number)
    gpu_x_real_time               = optional(number)
    cpu_x_real_time               = optional(number)
    decode_x_real_time            = optional(number)
    deepgram_x_real_time          = optional(number)
    speakers_x_real_time          = optional(number)
    deepgram_base_url             = optional(string)
    deepgram_timeout_seconds      = optional(number)
    deepgram_late_seconds         = optional(number)
    deepgram_attempts             = optional(number)
    deepgram_max_bytes            = optional(number)
    deepgram_mip_opt_out          = optional(bool)
    gpu_breaker_failures          = optional(number)
    gpu_breaker_window_seconds    = optional(number)
    gpu_breaker_cool_down_seconds = optional(number)
    gpu_breaker_trial_seconds     = optional(number)
    results_prefix                = optional(string)
    result_formats                = optional(string)
    price_book                    = optional(string)
    deepgram_model                = optional(string)
    speaker_model                 = optional(string)
    max_completion_minutes        = optional(number)
    enable_fallback               = optional(bool)
    language                      = optional(string)
    language_models               = optional(string)
    parakeet_model_name           = optional(string)
    language_trial_seconds        = optional(number)
    deepgram_languages            = optional(string)
    low_confidence                = optional(number)
    max_attempts                  = optional(number)
    max_wait_hours                = optional(number)
    max_unpacked_bytes            = optional(number)
    worker_memory_gib             = optional(number)
    upload_memory_mb              = optional(number)
    subtitle_line_columns         = optional(number)
    subtitle_lines                = optional(number)
    subtitle_min_seconds          = optional(number)
    subtitle_max_seconds          = optional(number)
    subtitle_chars_per_second     = optional(number)
    redact                        = optional(string)
    redact_terms                  = optional(string)
    redact_audio                  = optional(string)
    redact_margin_seconds         = optional(number)
    log_level                     = optional(string)
    events_seconds                = optional(number)
  })
  default  = {}
  nullable = false
}

variable "function_settings" {
  description = "Settings of the function alone."
  type = object({
    budget_cache_seconds           = optional(number)
    ignore_patterns                = optional(string)
    cost_optimization              = optional(bool)
    time_value_usd_per_minute      = optional(number)
    max_cost_per_audio_hour_usd    = optional(number)
    gpu_min_monthly_files          = optional(number)
    parakeet_max_minutes           = optional(number)
    parakeet_max_mb                = optional(number)
    short_file_threshold_hours     = optional(number)
    long_file_threshold_hours      = optional(number)
    deepgram_min_mb                = optional(number)
    gather_seconds                 = optional(number)
    gather_audio_minutes           = optional(number)
    reconcile_seconds              = optional(number)
    inspection_max_bytes           = optional(number)
    claim_seconds                  = optional(number)
    queue_patience_seconds         = optional(number)
    signed_url_seconds             = optional(number)
    sweep_hours                    = optional(number)
    sweep_max_days                 = optional(number)
    shard_hours                    = optional(number)
    shard_hours_busy               = optional(number)
    deepgram_callback_minutes      = optional(number)
    deepgram_callback_seconds      = optional(number)
    deepgram_callback_max_bytes    = optional(number)
    deepgram_callback_read_seconds = optional(number)
    deepgram_api_key_id            = optional(string)
    webhook_timeout_seconds        = optional(number)
    webhook_retry_hours            = optional(number)
    upload_rules                   = optional(string)
  })
  default  = {}
  nullable = false
}

variable "api_settings" {
  description = "Settings of the HTTP API alone."
  type = object({
    api_hosts            = optional(string)
    api_max_body_bytes   = optional(number)
    api_max_upload_bytes = optional(number)
    api_body_seconds     = optional(number)
    api_fetch_seconds    = optional(number)
    api_wait_seconds     = optional(number)
    api_upload_seconds   = optional(number)
    api_result_seconds   = optional(number)
  })
  default  = {}
  nullable = false
}

variable "job_settings" {
  description = "Settings of the jobs alone."
  type = object({
    model_precision              = optional(string)
    sortformer_file              = optional(string)
    kept_voices                  = optional(bool)
    loaded_models                = optional(number)
    loaded_models_gib            = optional(number)
    chunk_seconds                = optional(number)
    gpu_batch_size               = optional(number)
    max_concurrent_chunks        = optional(number)
    enable_batch_processing      = optional(bool)
    gpu_memory_limit_gb          = optional(number)
    batch_audio_seconds          = optional(number)
    cpu_batch_audio_seconds      = optional(number)
    model_load_timeout_seconds   = optional(number)
    batch_timeout_seconds        = optional(number)
    uploads_in_flight            = optional(number)
    buffered_audio_seconds       = optional(number)
    fetch_timeout_seconds        = optional(number)
    decode_stall_seconds         = optional(number)
    decoder_children             = optional(number)
    decoder_ahead_seconds        = optional(number)
    decoder_memory_mb            = optional(number)
    audit_gap_seconds            = optional(number)
    audit_max_share              = optional(number)
    audit_spare_seconds          = optional(number)
    language_guard_max_share     = optional(number)
    language_guard_spare_seconds = optional(number)
    checkpoint_seconds           = optional(number)
    heartbeat_seconds            = optional(number)
    lease_seconds                = optional(number)
    fault_backoff_seconds        = optional(number)
    restart_seconds              = optional(number)
    stop_margin_seconds          = optional(number)
    instance_start_seconds       = optional(number)
  })
  default  = {}
  nullable = false
}

variable "otel" {
  description = "OTEL_* environment of function and jobs, as OpenTelemetry documents it; empty: no telemetry is exported."
  type        = map(string)
  default     = {}
  nullable    = false

  validation {
    condition     = alltrue([for name in keys(var.otel) : startswith(name, "OTEL_")])
    error_message = "Names must begin with OTEL_."
  }
}
