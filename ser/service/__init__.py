"""The HTTP API: predictions for programs in any language, see ``docs/http.md``.

Internal: it is started with ``ser serve``.
"""
