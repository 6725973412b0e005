"""The demo: what ``make run`` starts and fills."""
