"""Commands run on a mounted rootfs: in a sandbox, or plainly on the host.

The processes of a RUN, as `kubeimage.run.process` starts them:

    Mount.prefix ...   makes the mount, and turns into
    unshare            (sandbox) the first process's parent, which waits for it; turns up again when it is gone
      sh: the keeper   first process of a pid namespace that holds all the others (plainly: of a process group)
        sh: the watch  waits for the end of the keeper's input, which comes when we die or want it; then kills all
        bwrap          (sandbox) sees to the walls, and waits for
          sh           says that it stands, and turns into `sh -c SCRIPT`
"""
