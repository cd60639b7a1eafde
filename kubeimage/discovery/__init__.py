"""Finds the container images that an application names; pure, without network.

    references.py       what is an image name, what is a word that looks like one, and which are to be left out
    findings.py         what is found and what is passed over, each with its place
    names.py            what in any text reads as a name, by its looks
    documents.py        a text as YAML documents, each on its own, with bounds
    kinds.py kinds.toml where custom resources name images
    splits.py           names that are split over several keys
    walk.py hints.py    all of a document, and what a text at a place may be
    text.py             text that no structure explains, by its lines
    manifests.py        a file of documents: what is found, passed over and to be mended
    imagelist.py        ``manifests/imageList``, and sealos's lists
    commands.py         the namespaces of charts that commands install
    charts.py           a chart, rendered by whoever implements ``Renderer``
    chartarchive.py     a packed chart, read with bounds
    chartsearch.py      the charts of an image, with the values of each
    helm.py helmprogram.py   renderers: helm-python-sdk (in helmchild.py's process), and the helm program
    limited.py          a process with bounds
    kubeversion.py      the Kubernetes versions that charts ask for
    finder.py           all of an image's new files

What a structure says is certain. What is written as a name is a guess, and taken only if it is a whole reference with
a tag or digest. All else that reads as an image's name is passed over by name, with the reason. Nothing is left out in
silence.

Source: the project's design, "Execution" (step 3).
"""
