"""Distributed tracing: which trace a request belongs to, and the spans of what became of it."""
