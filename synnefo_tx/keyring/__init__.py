"""Named keys with versions, and the secrets that are sealed with them."""
