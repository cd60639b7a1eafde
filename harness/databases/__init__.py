"""Example databases that several workers and machines share, by Hypothesis's own backends.

    redis://HOST:PORT/N             a Redis server (`pip install 'kubeimage[fleet]'`)
    github://OWNER/REPO[/ARTIFACT]  what CI kept as an artifact of a folder; it is only read
    DIR                             a folder, such as one on a network file system

`place` reads how they are written down. `shared` opens them, and goes on without one that fails.
"""
