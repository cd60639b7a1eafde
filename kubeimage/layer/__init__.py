"""One changeset as bytes: the canonical tar, read, written, compared and applied."""
