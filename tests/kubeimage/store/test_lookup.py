"""For which platforms the store has an image."""

from harness.contracts import APP
from kubeimage.image.oci import Descriptor
from kubeimage.image.platform import Platform
from kubeimage.store import Store
from tests.kubeimage.store.foreign import make_foreign, make_index, tar_of
from tests.kubeimage.store.test_arrivals import bring, bring_index

ARM, AMD = (make_foreign(tar_of({"a": name.encode()}), architecture=name) for name in ("arm64", "amd64"))


def test_a_platform_is_what_the_list_says_and_else_the_config(store: Store) -> None:
    nameless = make_foreign(tar_of({"a": b"3"}), architecture="riscv64")
    attested = {**AMD.descriptor.to_json(), "platform": {"architecture": "unknown", "os": "unknown"}}
    newer = {**ARM.descriptor.to_json(), "platform": {"architecture": "arm64", "os": "linux", "variant": "v8"}}

    data = make_index([], extra=[newer, nameless.descriptor.to_json(), attested])
    bring_index(store, data, ARM, AMD, nameless)

    assert store.list_platforms(APP) == (
        Descriptor.of("", data).digest,
        {
            Platform("linux", "arm64", "v8"): ARM.descriptor.digest,
            Platform("linux", "riscv64"): nameless.descriptor.digest,
        },
    )


def test_an_image_of_its_own_has_the_platform_of_its_config(store: Store) -> None:
    bring(store, ARM)

    assert store.list_platforms(APP) == (ARM.descriptor.digest, {Platform("linux", "arm64"): ARM.descriptor.digest})
