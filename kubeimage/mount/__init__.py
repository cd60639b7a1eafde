"""Root filesystems put together for a RUN: by the kernel's overlayfs, or by copying.

A mount's scratch folder, for both:

    m/   the merged rootfs: a mount point, or the copy itself
    u/   overlay: what the RUN changed       w/  overlay: the kernel's own
    l    overlay: a link to the folder with a short link to each lower directory, which all mounts of a build share:
         by those names 127 of them fit into one page of options
    e/   overlay: an empty lower directory, for an image without layers

Nothing is ever mounted where this process could see it: a RUN's own processes make the mount in a mount namespace of
theirs, and it goes when they do, whatever ends them.
"""
