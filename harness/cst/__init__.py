"""container-structure-test's files, judged without its program, without Docker and without root.

    spec.py      a file in YAML or JSON -> a Spec: its tests, each with its line; all mistakes at once
    nodes.py     values of YAML and JSON as the program's language reads them
    golang.py    what the program has from Go: modes as text, $VARIABLES
    re2.py       Go's regular expressions, for Python's engine
    judge.py     a test and an image -> what is wrong with the image
    commands.py  the programs that a command test runs

The words of the files are the program's; docs/container-structure-test.md says where a verdict differs, and why.
"""
