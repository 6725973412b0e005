"""snf-manage: the operator's command."""
