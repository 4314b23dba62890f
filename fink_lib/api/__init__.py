"""The REST API: one file per endpoint in ``routes``, everything they share beside it."""
