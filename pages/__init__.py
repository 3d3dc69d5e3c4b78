"""The generated pages of the documentation site: `mkdocs build` calls `pages/hook.py`."""
