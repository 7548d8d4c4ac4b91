"""Adapters to durable things, each with its in-memory fake."""
