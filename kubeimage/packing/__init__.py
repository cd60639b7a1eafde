"""Packs the container images of an application into its image, and proves that they are whole there.

    packer.py       resolves, fetches, and makes the layers; what the executor is handed
    survey.py       what there is to pack
    parts.py        what packing works with
    leftout.py      what it is handed if nothing is to be packed: counts what is left out
    search.py       discovery on layers and on a build context, remembered by their digests
    files.py        the files of layers and of a build context
    resolve.py      names -> digests: registries, what is remembered, what the base image brings
    memory.py       what is remembered from build to build
    fetch.py        manifests and blobs into the store, several at once, each once
    contents.py     what an image consists of, remembered by its digest
    elsewhere.py    what other images of the store have packed
    cutting.py      which layers all of it is cut into
    authlist.py     ``imageListWithAuth.yaml``
    archives.py     images that lie in archives of the build context
    layout.py       the storage layout of distribution, which a stock registry serves
    record.py       ``registry/images.json`` and ``Metadata``
    naming.py       what an image names, and what its record says was packed
    closure.py      the proof: name -> tag -> manifest -> config -> every blob

What is packed is laid out below ``registry/`` of the rootfs, by repository and tag, without the host: a cluster reaches
all of them through one registry. So two images of different hosts that share repository and tag, and not their bytes,
cannot be packed together.

Source: the project's design, "Execution" (step 3).
"""
