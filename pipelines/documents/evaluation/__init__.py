"""How good retrieval is, measured on collections with judged queries."""
