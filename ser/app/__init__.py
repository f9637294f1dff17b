"""What the pages ask for: a workspace, processes, tasks, the catalogue of reports.

Internal: what is public is offered by `ser` itself.
"""
