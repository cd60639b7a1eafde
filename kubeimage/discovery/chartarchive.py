"""Packed charts: read by the reader that layers are read by, with bounds on headers, entries and bytes."""

from __future__ import annotations

import io
from tempfile import SpooledTemporaryFile
from typing import BinaryIO, cast

from kubeimage.discovery.charts import CHART_FILE, Chart
from kubeimage.errors import ChartError, LayerError, LayerTooLargeError, PathEscapeError
from kubeimage.layer.compression import decompress
from kubeimage.layer.entry import Kind
from kubeimage.layer.reader import Limits, iter_contents

_LARGEST_CHART = 256 << 20
_LIMITS = Limits(max_entries=50_000, max_header=1 << 20, max_bytes=_LARGEST_CHART)
_IN_MEMORY = 16 << 20


def read_archive(data: bytes, path: str) -> Chart:
    """Read a packed chart.

    Raises: ChartError where it is none, or is larger than a chart can be.
    """
    files: dict[str, bytes] = {}
    try:
        with SpooledTemporaryFile(_IN_MEMORY) as unpacked:
            # Beside the files there are headers, and what fills up blocks.
            unpacked.writelines(decompress(io.BytesIO(data), most=2 * _LARGEST_CHART))
            unpacked.seek(0)
            for entry, content in iter_contents(cast("BinaryIO", unpacked), limits=_LIMITS):
                name = entry.path.partition("/")[2]
                if entry.kind is Kind.FILE and content is not None and name:
                    files[name] = content.read()
    except PathEscapeError as error:
        raise ChartError(f"the chart {path} holds a file outside of it: {error}") from error
    except LayerTooLargeError as error:
        raise ChartError(f"the chart {path} is larger than a chart can be: {error}") from error
    except (LayerError, OSError, EOFError, ValueError) as error:
        raise ChartError(f"the chart {path} is no archive that can be read: {error}") from error
    if CHART_FILE not in files:
        raise ChartError(f"the archive {path} holds no {CHART_FILE}", hint="only packed charts belong into charts/")
    return Chart(path, files)
