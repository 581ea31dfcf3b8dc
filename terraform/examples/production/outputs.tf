output "deployment" {
  description = "Names of what was made."
  value       = module.dropscribe
}
