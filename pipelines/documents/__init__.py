"""Read, parse, chunk, embed, store: documents into a collection."""
