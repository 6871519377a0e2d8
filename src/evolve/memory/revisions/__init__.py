"""How does a database of an older Evolve become one of this? One Alembic revision per step, never edited once released.

Databases made by the older steps exist: to change the schema, add `rNNNN_what.py` with the next number and change `tables` to match.
Each is written for both engines (see `ddl`), and runs in the transaction of who brings the schema up to date.
"""
