"""Commands run on a mounted rootfs: in a sandbox, behind Landlock, or plainly on the host.

The processes of a RUN in a sandbox, as `kubeimage.run.process` starts them:

    Mount.prefix ...   makes the mount, and turns into
    unshare            the first process's parent, which waits for it; turns up again when it is gone
      sh: the keeper   first process of a pid namespace that holds all the others
        sh: the watch  waits for the end of the keeper's input, which comes when we die or want it; then kills all
        bwrap          sees to the walls (or `kubeimage.run.inside` does), and waits for
          sh           says that it stands, and turns into `sh -c SCRIPT`

And without namespaces, behind Landlock or plainly:

    Mount.prefix ...   makes the mount, and turns into
    inside.py          adopts whatever leaves its parent; kills all when its input ends or the command has
      inside.py        sees to the walls, if there are any, and turns into
        sh             says that it stands, and turns into `sh -c SCRIPT`

Programs of an image, in its own root, have a helper that `kubeimage.run.programs` starts once: `kubeimage.run.serving`.
"""
