"""What the site tells Prometheus: docs/reference/metrics.md."""
