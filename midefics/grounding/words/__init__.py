"""The words that claims are made of, a file to a family of kinds: value to pattern. Patterns hold no groups that capture."""
