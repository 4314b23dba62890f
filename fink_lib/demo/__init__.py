"""One night, end to end: what ``make demo`` runs."""
