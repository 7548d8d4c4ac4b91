"""Scores of answers: what each one is, where it comes from, and whole tables scored (docs/metrics.md)."""
