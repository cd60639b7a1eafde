"""One HTML page about images: verdicts, layers, files, changes and container images, in one file."""
