"""Processing the embeddings of a chat."""
