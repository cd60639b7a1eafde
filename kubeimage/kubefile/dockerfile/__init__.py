"""The front end of the dialects that follow Docker's rules: their lines, words, instructions and expansion.

    text --logical_lines--> LogicalLine --Statement.split--> Statement --read--> Instruction --Variables--> values

Source: moby's Dockerfile reference; buildah 1.28 is the judge where it leaves something open.
"""
