"""Embedder, vector store owner, retriever and grounded answers."""
