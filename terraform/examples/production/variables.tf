variable "project" {
  description = "Google Cloud project."
  type        = string
}

variable "region" {
  description = "Region with L4 GPUs."
  type        = string
  default     = "europe-west4"
}

variable "release" {
  description = "Which build runs; an older one is a rollback."
  type        = string
}

variable "gpu_rollout_percent" {
  description = "Share of the uploads that the job may take: 5, then 50, then 100."
  type        = number
  default     = 5
}

variable "kms_key" {
  description = "Key for the buckets, in the same region."
  type        = string
}

variable "billing_account" {
  description = "Billing account of the budget, one in US dollars."
  type        = string
}

variable "alert_emails" {
  description = "Mail addresses that get alerts."
  type        = list(string)
}
