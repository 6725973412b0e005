"""The journal: who did what, on whose behalf, on which object, when, and what came of it."""
