"""Lists of images, and of archives that hold them."""

from kubeimage.discovery.imagelist import archived_images, find_in_archive_list, find_in_list

ARCHIVES = """\
\ufeff- 'docker-archive:a.tar@nginx:1'  # a comment
b.tar

# docker-archive:c.tar@nginx:2
oci-archive:d.tar@quay.io/d/e:1
docker-archive:f.tar@NOT A NAME
docker-archive:g.tar
"""


def test_each_line_of_a_list_of_archives_says_where_an_image_is() -> None:
    found = [(one.path, str(one.image), one.line) for one in archived_images(ARCHIVES)]

    assert found == [("a.tar", "docker.io/library/nginx:1", 1), ("d.tar", "quay.io/d/e:1", 5)]


def test_what_a_list_names_is_found_once_and_what_is_no_name_has_its_line() -> None:
    of_archives = find_in_archive_list(ARCHIVES, "f")
    of_images = find_in_list("---\n- nginx:1\n'nginx:1' # again\nNOT A NAME\n\nb/c\n", "f")

    assert [str(one.image) for one in of_archives.found] == [
        "docker.io/library/nginx:1",
        "docker.io/library/b.tar:latest",
        "quay.io/d/e:1",
        "docker.io/library/docker-archive:g.tar",
    ]
    assert [(str(one.image), one.place.path) for one in of_images.found] == [
        ("docker.io/library/nginx:1", "line 2"),
        ("docker.io/b/c:latest", "line 6"),
    ]
    assert [(one.text, one.line) for one in of_images.unreadable] == [("NOT A NAME", 4)]
