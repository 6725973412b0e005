"""The service catalogue that clients find the APIs by."""
