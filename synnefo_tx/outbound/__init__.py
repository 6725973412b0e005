"""Requests to addresses that users give: public ones only, checked and then pinned."""
