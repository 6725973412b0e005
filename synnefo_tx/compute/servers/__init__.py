"""Servers: their life cycle, creation, actions and news."""
