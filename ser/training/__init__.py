"""From a configuration to a finished run directory.

Internal: what is public is offered by `ser` itself.
"""
