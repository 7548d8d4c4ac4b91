"""Anthropic's Messages API over the same models: bodies, their translation, answers, events, errors, routes."""
