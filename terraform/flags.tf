# Switches that need no new build: engines, their share of the uploads, and the budget.

variable "transcription_method" {
  description = "Method for every upload: auto decides by cost and time."
  type        = string
  default     = "auto"

  validation {
    condition     = contains(["auto", "parakeet", "hybrid", "deepgram"], var.transcription_method)
    error_message = "One of auto, parakeet, hybrid, deepgram."
  }
}

variable "gpu_enabled" {
  description = "Whether there is a GPU job: false leaves out the job, its role and its alerts. The image is built all the same, so true later takes one apply."
  type        = bool
  default     = true
}

variable "gpu_rollout_percent" {
  description = "Percentage of uploads that the job may take, chosen by a hash of the upload."
  type        = number
  default     = 100

  validation {
    condition     = var.gpu_rollout_percent >= 0 && var.gpu_rollout_percent <= 100 && floor(var.gpu_rollout_percent) == var.gpu_rollout_percent
    error_message = "A whole number of percent, 0 to 100."
  }
}

variable "monthly_budget_usd" {
  description = "Most that transcription may cost in a month: uploads beyond it are rejected. With a billing account also the billing budget."
  type        = number
  default     = null

  validation {
    condition     = coalesce(var.monthly_budget_usd, 1) > 0
    error_message = "More than 0; null: no limit."
  }
}

variable "billing_account" {
  description = "Billing account in which a budget is set up, XXXXXX-XXXXXX-XXXXXX; null: none. It must be one in US dollars."
  type        = string
  default     = null

  validation {
    condition     = var.billing_account == null || can(regex("^[0-9A-F]{6}-[0-9A-F]{6}-[0-9A-F]{6}$", coalesce(var.billing_account, "-")))
    error_message = "A billing account id: 0X0X0X-0X0X0X-0X0X0X."
  }

  validation {
    condition     = var.billing_account == null || var.monthly_budget_usd != null
    error_message = "A billing budget needs monthly_budget_usd."
  }
}
