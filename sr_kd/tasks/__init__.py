"""Tasks: each a folder with its options, its check, its data, its networks and losses."""
