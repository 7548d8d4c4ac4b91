"""OpenAI's Responses API over chat completions: translated there and back, streamed as its events, and stored."""
