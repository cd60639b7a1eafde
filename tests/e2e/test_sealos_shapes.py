"""Sixty projects in the shape of real ones, beside buildah: one tree, one config, the same owners."""

import itertools
from pathlib import Path

import pytest
from hypothesis import settings

from tests.e2e import buildah
from tests.e2e.program import Program
from tests.e2e.test_sealos import build, pack_archives
from tests.e2e.test_sealos import context as context  # noqa: PLC0414 - a fixture
from tests.e2e.test_sealos import judge as judge  # noqa: PLC0414 - a fixture

# How real files begin: applications, root filesystems, patches, and what gathers from others.
HEADS = {
    "application": r"""FROM scratch
MAINTAINER labring
LABEL sealos.io.type="application" "sealos.io.version"=v1beta1
ENV NAME=${NAME:-"web"} OPTS=${OPTS:-" --set a=1 "}
""",
    "rootfs": r"""ARG KUBE=v1.25.0
FROM scratch
ARG KUBE
LABEL init="init-cri.sh \$registryDomain \$registryPort && bash init.sh" clean="clean.sh && bash clean-cri.sh \$criData"
LABEL sealos.io.type="rootfs" version="${KUBE}" image="ghcr.io/labring/lvscare:\${tag}" vip='$defaultVIP'
ENV criData=/var/lib/containerd registryDomain=sealos.hub
""",
    "old forms": r"""FROM scratch
ENV NODE_PORT 30003
ENV GREETING   hello  'to' $NODE_PORT
LABEL note some old value
USER 65532:65532
""",
    "stages": r"""FROM scratch AS parts
WORKDIR /parts
COPY d .
ADD a.tgz unpacked/
FROM scratch
ARG TARGETARCH
ENV ARCH=${TARGETARCH:-none}
COPY --from=parts /parts/sub ./from-parts
COPY --from=0 /parts/unpacked/x ./etc/x
""",
}
BODIES = {
    "registry": "COPY registry ./registry\nCOPY manifests ./manifests\n",
    "charts": "COPY charts ./charts\nCOPY images/shim images/shim\nCOPY run.sh ./opt/\n",
    "rootfs": "COPY rootfs .\nCOPY etc/* etc/\nWORKDIR /opt\nCOPY run.sh .\n",
    "architectures": "ARG TARGETARCH\nCOPY reg_${TARGETARCH} registry\nCOPY ../a.yaml up/\nEXPOSE 80 443/udp\n",
    "owners": "COPY --chown=1000:1000 charts charts\nADD --chown=7 a.tgz /srv/app\nCOPY --chmod=750 run.sh bin/run\n",
}
ENDS = {
    "commands": 'CMD ["helm upgrade -i ${NAME} charts/web ${OPTS}","kubectl get pods"]\nLABEL last=1\n',
    "entrypoint": 'ENTRYPOINT ["bash opt/run.sh"]\nCMD ["$(NAME)"]\nSTOPSIGNAL SIGTERM\n',
    "text": 'ENV LATE=$NAME-x\nCMD bash run.sh  "$LATE"\nLABEL late=$LATE\n',
}
SHAPES = {
    " + ".join(names): HEADS[names[0]] + BODIES[names[1]] + ENDS[names[2]]
    for names in itertools.product(HEADS, BODIES, ENDS)
}
_FILES = {
    "registry/docker/registry/v2/repositories/library/redis/x": "link",
    "manifests/deploy.yaml.tmpl": "image: {{ .image }}\n",
    "charts/web/Chart.yaml": "name: web\n",
    "charts/web/templates/a.yaml": "kind: A\n",
    "images/shim/list": "redis:7\n",
    "rootfs/bin/kubelet": "#!/bin/sh\n",
    "rootfs/etc/kubelet.conf": "x\n",
    "etc/a.conf": "a",
    "etc/deep/b.conf": "b",
}


def chosen() -> list[str]:
    """Return all shapes by night, and every twelfth by day."""
    default = settings.default
    assert default is not None
    return list(SHAPES)[:: 1 if default.max_examples > 1_000 else 12]


def test_there_are_sixty_shapes() -> None:
    assert len(SHAPES) == 60


@pytest.mark.timeout(1800)
@pytest.mark.needs("buildah")
def test_a_shape_is_what_buildah_makes_of_it(kubeimage: Program, context: Path, judge: Path, tmp_path: Path) -> None:
    pack_archives(context)
    for path, text in _FILES.items():
        (context / path).parent.mkdir(parents=True, exist_ok=True)
        (context / path).write_text(text)
    for found in context.rglob("*"):
        if found.is_dir() and not found.is_symlink():
            found.chmod(0o755)

    for name in chosen():
        (tmp_path / "Dockerfile").write_text(SHAPES[name])
        theirs = buildah.build(context, judge, tmp_path / "Dockerfile")
        ours = build(kubeimage, context, tmp_path / "Dockerfile")
        assert buildah.comparable(ours) == buildah.comparable(theirs), name
        assert ours.tree == theirs.tree, name
        assert ours.owners == theirs.owners, name
