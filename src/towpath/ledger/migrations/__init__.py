"""The ledger's tables through time: one Alembic revision a file, applied by `ledger.schema`.

A new one is written by hand: copy the last, set `revision` and `down_revision`, make `schema.HEAD`
the new one, and change `ledger.tables`; a test says whether the two agree.
"""
