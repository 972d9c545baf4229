"""The Delta tables of a run: schemas, migrations, scratch files, the lease, maintenance."""
