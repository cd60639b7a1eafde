"""Secrets in images: private keys, tokens and passwords, found by rules that are data."""
