"""Collections by tenant: whose they are, and by which names."""
