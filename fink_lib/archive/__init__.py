"""HBase: row keys, codecs, batched puts and exact reads of the archived nights."""
