"""The schemas of what terraform/ uses, out of a published package: `infra/terraform_offline/google.json`."""
