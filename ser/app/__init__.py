"""What the pages ask for: a workspace, processes, tasks, the catalogue of reports."""
