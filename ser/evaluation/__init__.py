"""Figures, reports, and what they are made of.

Internal: what is public is offered by `ser` itself.
"""
