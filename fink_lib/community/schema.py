"""The tables of the store, as steps from an empty file. A step is never changed; a new one is added at the end."""

from __future__ import annotations

_TOKENS = """
CREATE TABLE tokens (
    id TEXT PRIMARY KEY, hash BLOB NOT NULL, owner TEXT NOT NULL, scopes TEXT NOT NULL, note TEXT NOT NULL,
    created TEXT NOT NULL, expires TEXT NOT NULL, revoked TEXT
) WITHOUT ROWID
"""
_ANNOTATORS = """
CREATE TABLE annotators (
    survey TEXT NOT NULL, topic TEXT NOT NULL, owner TEXT NOT NULL, created TEXT NOT NULL,
    PRIMARY KEY (survey, topic)
) WITHOUT ROWID
"""
_ANNOTATIONS = """
CREATE TABLE annotations (
    id INTEGER PRIMARY KEY, survey TEXT NOT NULL, topic TEXT NOT NULL, object_id TEXT NOT NULL,
    classification TEXT NOT NULL, version TEXT NOT NULL, explanation TEXT NOT NULL, classdict TEXT NOT NULL,
    url TEXT NOT NULL, source TEXT NOT NULL, citation TEXT NOT NULL, owner TEXT NOT NULL, token TEXT NOT NULL,
    created TEXT NOT NULL
)
"""
_METADATA = """
CREATE TABLE metadata (
    id INTEGER PRIMARY KEY, object_id TEXT NOT NULL, internal_name TEXT NOT NULL, internal_name_encoded TEXT NOT NULL,
    comments TEXT NOT NULL, username TEXT NOT NULL, owner TEXT NOT NULL, token TEXT NOT NULL, created TEXT NOT NULL
)
"""
_FILTERS = """
CREATE TABLE filters (
    survey TEXT NOT NULL, name TEXT NOT NULL, owner TEXT NOT NULL, visibility TEXT NOT NULL, created TEXT NOT NULL,
    deleted TEXT, PRIMARY KEY (survey, name)
) WITHOUT ROWID
"""
_FILTER_VERSIONS = """
CREATE TABLE filter_versions (
    survey TEXT NOT NULL, name TEXT NOT NULL, version INTEGER NOT NULL, said TEXT NOT NULL, text TEXT NOT NULL,
    digest TEXT NOT NULL, owner TEXT NOT NULL, token TEXT NOT NULL, created TEXT NOT NULL,
    PRIMARY KEY (survey, name, version), FOREIGN KEY (survey, name) REFERENCES filters (survey, name)
) WITHOUT ROWID
"""
_WATCHLISTS = """
CREATE TABLE watchlists (
    id INTEGER PRIMARY KEY AUTOINCREMENT, survey TEXT NOT NULL, owner TEXT NOT NULL, created TEXT NOT NULL,
    deleted TEXT
)
"""
_WATCHLIST_VERSIONS = """
CREATE TABLE watchlist_versions (
    watchlist INTEGER NOT NULL REFERENCES watchlists (id), version INTEGER NOT NULL, name TEXT NOT NULL,
    description TEXT NOT NULL, visibility TEXT NOT NULL, content TEXT NOT NULL, owner TEXT NOT NULL,
    token TEXT NOT NULL, created TEXT NOT NULL, PRIMARY KEY (watchlist, version)
) WITHOUT ROWID
"""
_JOBS = """
CREATE TABLE jobs (
    id TEXT PRIMARY KEY, kind TEXT NOT NULL, owner TEXT NOT NULL, asked TEXT NOT NULL, state TEXT NOT NULL,
    message TEXT NOT NULL, result TEXT, created TEXT NOT NULL, changed TEXT NOT NULL, attempts INTEGER NOT NULL,
    lease REAL NOT NULL
) WITHOUT ROWID
"""
_TRANSFERS = """
CREATE TABLE transfers (id TEXT PRIMARY KEY, owner TEXT NOT NULL, token TEXT NOT NULL, created TEXT NOT NULL)
WITHOUT ROWID
"""
_MIRRORS = "CREATE TABLE mirrors (name TEXT PRIMARY KEY, up_to INTEGER NOT NULL) WITHOUT ROWID"

# Rows of these are the history: nothing takes one away or changes it.
_HISTORIES = ("annotations", "metadata", "filter_versions", "watchlist_versions")
_KEPT = tuple(
    f"CREATE TRIGGER {table}_no_{change.lower()} BEFORE {change} ON {table} "
    f"BEGIN SELECT RAISE(ABORT, 'the history of {table} is not changed'); END"
    for table in _HISTORIES
    for change in ("UPDATE", "DELETE")
)

MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        _TOKENS,
        _ANNOTATORS,
        _ANNOTATIONS,
        "CREATE INDEX annotations_by_object ON annotations (survey, object_id, id)",
        "CREATE INDEX annotations_by_topic ON annotations (survey, topic, id)",
        _METADATA,
        "CREATE INDEX metadata_by_object ON metadata (object_id, id)",
        "CREATE INDEX metadata_by_name ON metadata (internal_name_encoded, id)",
        _FILTERS,
        _FILTER_VERSIONS,
        _WATCHLISTS,
        _WATCHLIST_VERSIONS,
        _JOBS,
        "CREATE INDEX jobs_by_state ON jobs (state, created)",
        _TRANSFERS,
        _MIRRORS,
        *_KEPT,
    ),
)
"""Statements by step; the number of steps that a file has seen is its ``user_version``."""
