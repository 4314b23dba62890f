"""The light client: reads streams and data transfers of this broker and of Fink's, and asks the REST API.

Examples
--------
>>> from fink_lib.client import AlertConsumer
>>> config = {"bootstrap.servers": "127.0.0.1:29092", "group.id": "my-group"}
>>> with AlertConsumer(["fink_unknowns_ztf"], config, survey="ztf") as consumer:  # doctest: +SKIP
...     for topic, alert, key in consumer:
...         print(topic, alert["objectId"])
"""

from __future__ import annotations

from fink_lib.client.consumer import AlertConsumer
from fink_lib.client.credentials import Credentials

__all__ = ["AlertConsumer", "Credentials"]
