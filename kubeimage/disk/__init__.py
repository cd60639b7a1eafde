"""Files that are written whole or not at all, removed, and locked."""
