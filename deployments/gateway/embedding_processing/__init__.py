"""The embeddings of a chat: processed together, and what that has cost."""
