"""OpenAI's routes under `/v1`, one API area a module."""
