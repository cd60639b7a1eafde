"""The images of a lock as imgpkg reads them."""

import yaml
from hypothesis import given

from kubeimage.lock.imgpkg import to_images_lock
from kubeimage.lock.lockfile import Lock
from tests.kubeimage.lock.locks import locks
from tests.properties.examples import examples


@examples(0.4)
@given(locks())
def test_each_image_is_named_by_digest_with_what_it_was_called(lock: Lock) -> None:
    found = yaml.safe_load(to_images_lock(lock))

    assert found == {
        "apiVersion": "imgpkg.carvel.dev/v1alpha1",
        "kind": "ImagesLock",
        "images": [
            {
                "image": f"{one.name.domain}/{one.name.repository}@{one.digest}",
                "annotations": {"kbld.carvel.dev/id": str(one.name)},
            }
            for one in lock.images
        ],
    }
