"""One module per process of the broker; each only wires a source to a sink."""
