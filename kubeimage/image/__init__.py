"""The image model: values and their bytes, no I/O."""
