"""A run's rows as files: CSV, JSON, Excel, Parquet; streamed, checksummed, the same bytes for the same rows."""
