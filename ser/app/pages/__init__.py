"""The pages of the app, one function each.

Internal: what is public is offered by `ser` itself.
"""
