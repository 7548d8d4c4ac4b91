"""Ray Serve deployments: what answers requests."""
