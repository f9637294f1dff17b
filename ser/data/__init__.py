"""Corpora, splits, caches, downloads, and recordings of one's own."""
