"""Data Transfer: past nights, or a part of them, in a topic of their own, or as Parquet files."""
