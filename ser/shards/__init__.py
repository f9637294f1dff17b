"""Work over more clips than memory holds: cut into shards that are done once, and resumed.

Internal: what is public is offered by `ser` itself.
"""
