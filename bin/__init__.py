"""Scripts: `mr-telemetry` of a checkout, and what makes a machine a worker."""
