"""People with an account, their passwords and their states."""
