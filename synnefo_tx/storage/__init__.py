"""Object storage: accounts, containers, objects, blocks."""
