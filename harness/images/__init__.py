"""What a test asserts on: a built image, its files and its layers."""
