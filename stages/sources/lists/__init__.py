"""Lists of photos: csv, tsv, JSON lines, Parquet, plain URLs; here or at a remote address."""
