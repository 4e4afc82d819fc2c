"""What is kept on disk: database, vault, keys, request log."""
