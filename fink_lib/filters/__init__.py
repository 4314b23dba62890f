"""Filters as data: SQL predicates in files, checked in a sandbox, compiled into one plan."""

from __future__ import annotations

from fink_lib.filters.check import check_predicate
from fink_lib.filters.files import KINDS, Filter, load_filters, read_filter
from fink_lib.filters.plan import FilterSet
from fink_lib.filters.predicate import FilterError, Predicate

__all__ = [
    "KINDS",
    "Filter",
    "FilterSet",
    "Predicate",
    "FilterError",
    "check_predicate",
    "load_filters",
    "read_filter",
]
