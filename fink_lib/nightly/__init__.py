"""The nightly chain: a night is closed, reconciled, compacted, validated, archived, verified, summarised, published."""
