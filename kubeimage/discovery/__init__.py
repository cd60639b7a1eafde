"""Finds the container images that an application names; pure, without network.

    references.py       what is an image name, what is a word that looks like one, and which are to be left out
    findings.py         what is found and what is passed over, each with its place
    documents.py        a text as YAML documents, each on its own, with bounds
    manifests.py        where documents name images: pod specs wherever they stand, and keys that mean images
    text.py             the line rule, for text that no structure explains
    imagelist.py        ``manifests/imageList``
    charts.py           a chart, read and rendered by whoever implements ``Renderer``
    chartsearch.py      the charts of an image, with the values of each
    helm.py helmprogram.py   renderers: helm-python-sdk, and the helm program
    kubeversion.py      the Kubernetes versions that charts ask for
    finder.py           all of an image's new files

What a structure says is certain. What a rule of thumb finds is a guess, and taken only if it is a whole reference with
a tag or digest. All else that looks like an image is passed over by name, with the reason.

Source: the project's design, "Execution" (step 3).
"""
