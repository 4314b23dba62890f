"""Avro as alerts use it: schemas, containers, messages, columns."""
