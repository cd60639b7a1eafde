"""Talks to registries, by the OCI distribution-spec.

    registries.py           what all others use
    push.py pull.py         whole images, several blobs at once
    upload.py download.py   one blob; broken off, it goes on where it was
    growing.py              a layer that is sent while it is compressed
    client.py               one method for each endpoint
    exchange.py             one request to its end: tries again, follows redirects, logs in
    auth.py                 challenges, tokens and their scopes
    credentials.py helper.py    the user's Docker config file, and the programs that it names
    http.py connection.py messages.py lost.py tls.py proxy.py
                            one request and its answer, on connections that are kept

Whatever a registry says is checked: sizes and digests before anything is published, the length of every answer, the
place a redirect leads to. Credentials go to the registry they are for, and to where it says that tokens are made; never
with a redirect to somebody else.
"""
