"""Images in one file: OCI archives (an image layout in a tar) and docker-archives (what ``docker save`` writes).

Written without a time, an owner or a random name, so that one image always gives one file. Read with nothing unpacked:
members are found by a table of their places, and every blob is verified by whoever takes it in.
"""
