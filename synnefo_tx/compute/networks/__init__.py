"""Networks, their subnets, and their copies on clusters."""
