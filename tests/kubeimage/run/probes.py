"""What a RUN must not get: each of these says so where it did."""

PROBES = {
    "a file system in memory": "mount -t tmpfs t /tmp",
    "a /sys": "mkdir -p s && mount -t sysfs s s",
    "a /proc of its own": "mkdir -p p && mount -t proc p p",
    "the control groups": "mkdir -p g && mount -t cgroup2 g g",
    "an overlay": "mkdir -p o u w && mount -t overlay -o lowerdir=/usr,upperdir=u,workdir=w o o",
    "a bind mount": "mkdir -p b && mount --bind / b",
    "a writable /proc": "mount -o remount,rw /proc",
    "no /proc": "umount /proc || umount -l /proc",
    "another root by pivot_root": "mkdir -p r/old && pivot_root r r/old",
    "a user namespace": "unshare -U true",
    "a user namespace that is mapped": "unshare -Ur true",
    "a mount namespace": "unshare -m true",
    "the first process's namespaces": "nsenter -t 1 -m -p true && nsenter -t $BUILDER -m true",
    "the builder's namespaces": "nsenter -t $BUILDER -m true",
    "the host's root by /proc": "cat /proc/$BUILDER/root/etc/passwd",
    "the builder's memory": "cat /proc/$BUILDER/mem || cat /proc/$BUILDER/maps",
    "the builder's command line": "grep -q '[p]ytest' /proc/*/cmdline",
    "a signal to the builder": "kill -0 $BUILDER",
    "closed files of the host": "cat /etc/shadow || cat /etc/gshadow || cat /etc/sudoers",
    "keys of the host": "ls /etc/ssh/*key || ls /root/.ssh || ls /home/*",
    "services' sockets": "ls /run/*.sock /var/run/*.sock /run/systemd",
    "the host's shared memory": 'test -n "$(ls -A /dev/shm)"',
    "the devices of /sys": "ls /sys/class",
    "disks": "ls /dev/vd* /dev/sd* /dev/nvme* /dev/loop*",
    "a disk's device of its own making": "mknod d b 254 0 && head -c 1 d",
    "a memory device of its own making": "mknod m c 1 1 && head -c 1 m",
    "loop devices": "head -c 0 /dev/loop-control || { head -c 4096 /dev/zero > disk && losetup -f disk; }",
    "the kernel's memory": "head -c 1 /dev/mem || head -c 1 /dev/kmem || head -c 1 /proc/kcore",
    "virtual machines, file systems and tunnels": "head -c 0 /dev/kvm || head -c 0 /dev/fuse || head -c 0 /dev/net/tun",
    "the kernel's log": "dmesg || head -c 1 /proc/kmsg || head -c 1 /dev/kmsg",
    "the kernel's addresses": "grep -v '^0*  *[a-zA-Z]' /proc/kallsyms | grep -q '^[0-9a-f]*[1-9a-f]'",
    "a module": "modprobe dummy || insmod x.ko",
    "the core pattern": "echo core > /proc/sys/kernel/core_pattern",
    "the path of modprobe": "echo /x > /proc/sys/kernel/modprobe",
    "the kernel's magic keys": "echo h > /proc/sysrq-trigger",
    "the page cache's end": "echo 1 > /proc/sys/vm/drop_caches",
    "a kernel switch": "sysctl -w vm.swappiness=60 || echo 60 > /proc/sys/vm/swappiness",
    "immortality": "echo -1000 > /proc/self/oom_score_adj",
    "real time": "chrt -f 1 true",
    "a better place in the queue": 'n=$(nice) && m=$(nice -n -5 nice) && test "$m" -lt "$n"',
    "a better place at the disk": "ionice -c 1 -n 0 true",
    "more open files than the hard limit": "ulimit -Hn 9999999999",
    "another name of the host": "hostname was-here",
    "another time": "date -s @1",
    "the hardware's clock": "hwclock --systohc",
    "another network address": "ip address add 10.99.0.1/32 dev lo",
    "a network interface": "ip link add was-here type dummy",
    "packet filters": "iptables -L || nft list ruleset",
    "a raw socket": "ping -c 1 -W 1 127.0.0.1",
    "an attribute that only root has": "touch t && setfattr -n trusted.was -v here t",
    "a file nobody can remove": "touch i && chattr +i i",
    "another user's rights": "su -c true nobody || sudo -n true",
    "other capabilities": "setpriv --ambient-caps +sys_admin mount -t tmpfs t /tmp",
    "a tracer of the builder": "timeout 1 strace -o t -p $BUILDER; test -s t",
    "the terminal": "head -c 0 /dev/tty && echo x > /dev/tty",
    "the builder's open files": "ls /proc/$BUILDER/fd",
    "queues of the host": "ipcs -q | grep -q 0x",
    "the container engine": "ls /var/run/docker.sock /run/containerd /run/podman /run/crio",
    "the context": "ls $CONTEXT",
    "the home folder": "ls $HOST_HOME",
    "the store": "ls $STORE/blobs",
    "the layers below": "ls $SCRATCH/..",
}  # fmt: skip
"""Shell scripts, by what each is after; one that ends with 0 has got it."""

_DONE = "the probes have come to their end"


def all_at_once() -> str:
    """Return a script that tries all of them, and names those that got through."""
    tried = "\n".join(
        f"( {script} ) >/dev/null 2>&1 </dev/null && echo 'GOT {name}'" for name, script in _plain().items()
    )
    return f"{tried}\necho '{_DONE}'"


def got(said: str) -> list[str]:
    """Return what the probes have got.

    Raises: AssertionError where they did not come to their end.
    """
    assert _DONE in said, said
    return [line.removeprefix("GOT ") for line in said.splitlines() if line.startswith("GOT ")]


def _plain() -> dict[str, str]:
    return {name.replace("'", ""): script for name, script in PROBES.items()}
