"""Embeddings of one chat, looked at together: how alike they are, which are doubles, how they lie."""
