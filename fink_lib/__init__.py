"""The broker's library: a pure core and thin edges. See ``docs/architecture.md`` for the rooms."""

__version__ = "0.1.0"
