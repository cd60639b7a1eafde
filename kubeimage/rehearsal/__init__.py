"""The dress rehearsal of a cluster without internet: what is packed is served, and pulled as a node would.

    rehearse.py     which images are named, who pulls them, and what that says
    outcome.py      what is said of each image
    registry.py     what a stock registry answers on the packed folder
    server.py       those answers over HTTP on 127.0.0.1
    node.py         pulls images as containerd does through a mirror; may be a process of its own
    messages.py     what the two processes say to each other

The node is a process in a network of its own, where nothing but this registry can be reached. Where no such network
can be made, the node is this process.

Sources: containerd, docs/hosts.md and docs/cri/registry.md; OCI distribution-spec v1.1; distribution, registry/storage.
"""
