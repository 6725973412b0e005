"""The PostgreSQL seam: pool, transactions, migrations, embedded server."""
