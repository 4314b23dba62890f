"""Random draws that belong to an alert: the same in any batch, on any day."""

from __future__ import annotations

import hashlib

import numpy as np


def generator(module: str, alert_id: int) -> np.random.Generator:
    """Give the generator of a module for an alert: PCG64, seeded with the first 8 bytes of sha256(module:alert id).

    Parameters
    ----------
    module : str
        Name of the module, so that two modules draw independently.
    alert_id : int
        Id of the alert.

    >>> first, again, other = generator("a", 1), generator("a", 1), generator("b", 1)
    >>> draw = first.random()
    >>> bool(draw == again.random()), bool(draw == other.random())
    (True, False)
    """
    digest = hashlib.sha256(f"{module}:{alert_id}".encode()).digest()
    return np.random.Generator(np.random.PCG64(int.from_bytes(digest[:8], "big")))
