"""A cloud over Ganeti clusters in one Twisted application."""
