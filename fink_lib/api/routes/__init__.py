"""The endpoints, one file each.

A file here exposes ``ENDPOINTS``, a tuple of :class:`fink_lib.api.endpoint.Endpoint`. The application finds every file
of this folder by itself, so a new endpoint is a new file and nothing else.
"""
