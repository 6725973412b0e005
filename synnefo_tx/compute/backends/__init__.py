"""What servers and networks take of the clusters."""
