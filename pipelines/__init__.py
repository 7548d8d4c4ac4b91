"""Work over many rows: documents, sweeps, analysis, training."""
