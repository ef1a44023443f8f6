"""What the ledger's database went through, one file a step; `databases.prepare` takes every step that is missing.

A further table or column: a new file in `versions/`, and `HEAD` raised to its revision. A step that has been merged is
never edited.
"""

HEAD = "3"
"""The revision of the newest step."""
