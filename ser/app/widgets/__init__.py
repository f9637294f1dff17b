"""Parts of pages.

Internal: what is public is offered by `ser` itself.
"""
