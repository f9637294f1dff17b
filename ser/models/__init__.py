"""Networks, bundles, and what answers with them.

Internal: what is public is offered by `ser` itself.
"""
