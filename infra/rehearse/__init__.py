"""`make rehearse`: deploys, against recorded answers of Google's APIs and a Terraform provider that makes nothing."""
