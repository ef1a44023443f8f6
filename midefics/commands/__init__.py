"""The command line's words, one file a family; `midefics.__main__` is its door."""
