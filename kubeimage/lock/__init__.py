"""The lock of a Kubefile: what its names led to on the day that it was locked.

    lockfile.py     what a lock says, as values
    tomlform.py     ``Kubefile.lock``, read and written
    imgpkg.py       the same images as imgpkg's ImagesLock
    drift.py        how a lock and a project differ

It lies beside the Kubefile, under the Kubefile's name with ``.lock`` behind it, and never enters a layer.

Source: the project's design, "Nothing named is left behind".
"""
