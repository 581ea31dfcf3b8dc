"""The dashboard: one definition, rendered for Cloud Monitoring and for Grafana by `python -m infra.dashboards`."""
