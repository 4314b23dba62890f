"""What users bring: tokens, annotations, names, filters, watchlists, jobs. One small store, and pure cores over it."""
