"""Sets of phrasings, each by another voice."""
