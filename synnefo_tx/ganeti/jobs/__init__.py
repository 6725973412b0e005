"""Intents and the Ganeti jobs that carry them out."""
