"""Ollama's API over the same models: bodies, their translation, answers, listings, pulls, errors, routes."""
