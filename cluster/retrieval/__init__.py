"""How passages are found and ranked: words, BM25, fusion, diversity. Pure: no store, no model, no network."""
