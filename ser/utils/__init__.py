"""Files that are whole or absent, and work over many items.

Internal: what is public is offered by `ser` itself.
"""
