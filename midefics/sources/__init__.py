"""The archives we can read: a name in the configuration, one file here, one line in the table."""
