"""Servers: life cycle, creation, actions, news."""
