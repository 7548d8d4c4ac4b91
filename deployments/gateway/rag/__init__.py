"""Questions to the documents: passages found, answers made from them, and each quote checked."""
