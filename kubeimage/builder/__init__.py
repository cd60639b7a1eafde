"""A Kubefile, made into an image: what will happen (plan), making it happen (executor), and telling of it (events)."""
