"""Check and run OpenAI's batches: JSONL in, JSONL out, resumable."""
