"""The build context: which files a COPY means, where in the image they go, and what need not be read again.

wildcards, ignore, names     pure: patterns for names, .kubeignore, names that need care
sources, placement           pure: which paths a SRC means; where they land
walk, reading, collector     on disk: what lies there, its digest, and the SourceCollector made of all this
indexfile                    small files that remember something about one context
statindex, treeindex         digests of files, and of whole COPYs, that have not changed since somebody read them
ground, lease                where, and of which files, that can be told without reading
"""

from kubeimage.context.collector import ContextCollector
from kubeimage.context.ignore import IGNORE_FILE
from kubeimage.context.names import AUTH_LIST
from kubeimage.context.statindex import StatIndex

__all__ = ["AUTH_LIST", "IGNORE_FILE", "ContextCollector", "StatIndex"]
