"""Corpora, splits, caches, downloads, and recordings of one's own.

Internal: what is public is offered by `ser` itself.
"""
