"""Users, projects, tokens, quota."""
