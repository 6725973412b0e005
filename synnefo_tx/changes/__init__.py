"""The stream of changes: what was committed, told to those who may see it (docs/changes.md)."""
