"""Any builder's command run twice under other circumstances, and what differs in the two images.

circumstances.py   what is varied from one build to the other, and a copy of the context made so
builds.py          the command run in each; what could not be varied is named
outcome.py         what a command left at {out}: an archive or a folder, told by its content
differ.py          two images -> the first layer, path and bytes that differ, and what kind of difference it is
"""
