"""One file, one model: every file here that has a ``TRAINER`` can be trained by ``fink models train``."""
