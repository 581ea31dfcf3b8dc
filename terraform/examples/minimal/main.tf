# Everything at its default: no Deepgram, no alerts by mail, Google's own keys.

variable "project" {
  description = "Google Cloud project."
  type        = string
}

variable "release" {
  description = "Which build runs."
  type        = string
}

provider "google" {
  project = var.project
}

module "dropscribe" {
  source = "../.."

  project = var.project
  release = var.release
}

output "buckets" {
  description = "Drop files into the uploads bucket."
  value       = module.dropscribe.buckets
}

output "subscribe_command" {
  description = "How to hear of every outcome."
  value       = module.dropscribe.subscribe_command
}
