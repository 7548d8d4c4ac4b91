"""Statistics and tables over stored runs: pure functions over Arrow tables."""
