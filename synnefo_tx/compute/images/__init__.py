"""Images: the table-backed source that compute asks."""
