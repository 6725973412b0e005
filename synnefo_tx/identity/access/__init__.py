"""Who is let in now, and who is told when that ends."""
