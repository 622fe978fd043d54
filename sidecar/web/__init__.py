"""What the api listener answers to operators: health, readiness, metrics."""
