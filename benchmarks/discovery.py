"""Finding images in many manifests, held against reading them with PyYAML's C loader.

python benchmarks/discovery.py [COUNT]      10,000 manifests of 20 KB, unless COUNT says otherwise
"""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Iterator, Sequence

import yaml

from kubeimage.discovery.finder import find_images
from kubeimage.discovery.search import Search

_PART = """\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: app-{n}
  labels: {{app.kubernetes.io/name: app-{n}, app.kubernetes.io/version: "1.2.{n}"}}
spec:
  replicas: 3
  template:
    spec:
      containers:
      - name: main
        image: quay.io/team/app-{n}:v1.{n}.0
        args: ["--log-level=info", "--listen=0.0.0.0:8080", "--config=/etc/app/config.yaml"]
        env:
        - name: URL
          value: http://svc.ns.svc.cluster.local:8080/path
        resources:
          limits: {{cpu: 100m, memory: 128Mi}}
        volumeMounts:
        - {{name: config, mountPath: /etc/app}}
---
apiVersion: v1
kind: ConfigMap
metadata: {{name: app-{n}}}
data:
  config.yaml: |
    server: {{host: 0.0.0.0, port: 8080}}
    image: busybox:1.36
---
"""
_SIZE = 20_000


class Generated:
    """Manifests that are made when they are read."""

    def __init__(self, count: int) -> None:
        self._paths = [f"manifests/{number:05}.yaml" for number in range(count)]
        part = len(_PART)
        self._text = "".join(_PART.format(n=number) for number in range(_SIZE // part + 1))

    def paths(self) -> Sequence[str]:
        """Return the paths of all."""
        return self._paths

    def is_symlink(self, path: str) -> bool:
        """Return whether a path is a symlink: none is."""
        del path
        return False

    def size(self, path: str) -> int:
        """Return how many bytes a file has."""
        del path
        return len(self._text)

    def read(self, paths: Sequence[str]) -> Iterator[tuple[str, bytes]]:
        """Give the contents; each has a line of its own, so that no two are equal."""
        return ((path, f"# {path}\n{self._text}".encode()) for path in paths)


def main() -> None:
    """Print the two times, their ratio, and how much memory it took."""
    files = Generated(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started = time.process_time()
    findings = find_images(files, Search())
    ours = time.process_time() - started
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    started = time.process_time()
    for _, data in files.read(files.paths()):
        for _document in yaml.load_all(data, Loader=yaml.CSafeLoader):
            pass
    theirs = time.process_time() - started
    print(f"{len(files.paths())} manifests, {len(findings.found)} finds, {len(findings.images)} images")
    print(f"found in {ours:.1f} s, read by PyYAML in {theirs:.1f} s: {ours / theirs:.2f} x; {memory >> 10} MiB more")


if __name__ == "__main__":
    main()
