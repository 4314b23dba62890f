"""Multi-messenger streams: GCN notices in, coincident alerts out."""
