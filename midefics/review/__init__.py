"""People's look at conversations: which ones they see, the page they see them on, files for teams with a tool of their own."""
