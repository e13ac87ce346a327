"""Disks for virtual machines: a Debian with a kernel of its own, and on it the project as `make install` leaves it.

Made once and kept outside the checkout, like the containers' roots; each machine writes to a layer of its own.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from support import image, process
from support.download_cache import cached
from support.install import SOURCE, SOURCES, WHEELS, make, prepare_root, sources

KERNEL = "linux-image-cloud-amd64"
PACKAGES = (
    *image.PACKAGES,
    KERNEL,
    "initramfs-tools",
    "iproute2",
    "kmod",
    "qemu-guest-agent",
    "udev",
    "zstd",
)
# What network folders are served by and mounted with.
NETWORK_FOLDERS = ("bindfs", "cifs-utils", "nfs-common", "nfs-kernel-server", "samba")
# The one network card: the host's loopback is at 10.0.2.2.
WIRED = """\
[Unit]
Description=The emulated network card
ConditionVirtualization=vm
DefaultDependencies=no
BindsTo=sys-subsystem-net-devices-eth0.device
After=sys-subsystem-net-devices-eth0.device
Before=network.target network-online.target
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/sh -c 'ip addr add 10.0.2.15/24 dev eth0; ip link set eth0 up; ip route add default via 10.0.2.2'
[Install]
WantedBy=multi-user.target network-online.target
"""
FILES = {
    "etc/fstab": "LABEL=root / ext4 defaults 0 1\n",
    "etc/hostname": "machine\n",
    # Small, for it is read and unpacked by an emulated processor.
    "etc/initramfs-tools/conf.d/small": "MODULES=list\n",
    "etc/initramfs-tools/modules": "virtio_pci\nvirtio_blk\next4\n",
    "etc/systemd/system/wired.service": WIRED,
    # It logs each time that it is asked.
    "etc/systemd/system/qemu-guest-agent.service.d/quiet.conf": "[Service]\nLogLevelMax=warning\n",
}
# Each costs seconds of emulation at each boot, and none is of use here. Servers are started by who needs them.
SERVERS = ("nfs-server", "smbd", "nmbd", "samba-ad-dc")
MASKED = (
    *("apt-daily.timer", "apt-daily-upgrade.timer", "dpkg-db-backup.timer", "e2scrub_all.timer", "fstrim.timer"),
    *("e2scrub_reap.service", "getty@.service", "serial-getty@.service", "nfs-blkmap.service"),
    *("rpcbind.socket", "rpcbind.service"),
    *("systemd-networkd.service", "systemd-networkd.socket", "systemd-networkd-wait-online.service"),
)
DISK_SIZE = "4G"  # sparse
INODES = "131072"  # few, for those who take them all
KEPT_DISKS = 3  # a gigabyte each
TIMEOUT_S = 300


@dataclass(frozen=True)
class Disk:
    """What a machine boots from: files that stay as they are."""

    image: Path
    kernel: Path
    initrd: Path


def installed() -> Disk:
    """A disk on which `make install` was run with this checkout. Made if missing: some minutes."""
    base, wheels = _root(image.SUITE, NETWORK_FOLDERS), _wheels(image.SUITE, NETWORK_FOLDERS)

    def fill(folder: Path) -> None:
        root = folder / "root"
        root.mkdir()
        prepare_root(root, base, wheels, lambda machine: make(machine, "install"))
        _write_disk(root, folder)
        shutil.rmtree(root)

    return _disk(
        cached(f"disk-{image.short_hash(base.name, wheels.name, DISK_SIZE, INODES, sources())}", fill, keep=KEPT_DISKS)
    )


def bare(suite: str) -> Disk:
    """A disk with nothing of the project installed: this checkout and the wheels lie there. Made if missing."""
    base, wheels = _root(suite), _wheels(suite)

    def fill(folder: Path) -> None:
        root = folder / "root"
        process.run(["cp", "--archive", base, root], check=True, timeout_s=TIMEOUT_S)
        process.run(["cp", "--archive", wheels, f"{root}{WHEELS}"], check=True, timeout_s=TIMEOUT_S)
        for name in (*SOURCES, "docs", "README.md"):
            target = Path(f"{root}{SOURCE}", name)
            target.parent.mkdir(parents=True, exist_ok=True)
            process.run(["cp", "--archive", "--no-target-directory", image.REPOSITORY / name, target], check=True)
        _write_disk(root, folder)
        shutil.rmtree(root)

    return _disk(cached(f"baredisk-{image.short_hash(base.name, wheels.name, DISK_SIZE, sources())}", fill, keep=1))


def _wheels(suite: str, more: Sequence[str] = ()) -> Path:
    return image.wheelhouse(suite, lambda: _root(suite, more))


def _root(suite: str, more: Sequence[str] = ()) -> Path:
    recipe = image.short_hash(suite, *PACKAGES, *more, *FILES, *FILES.values(), *MASKED, image.HOSTS)
    return cached(f"kernelroot-{recipe}", lambda root: _make_root(root, suite, more), keep=3)


def _make_root(root: Path, suite: str, more: Sequence[str]) -> None:
    image.debootstrap(root, suite, (*PACKAGES, *more))
    for path, text in FILES.items():
        target = root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
    (root / "var/log/journal").mkdir(exist_ok=True)
    for command in (
        ("systemctl", "enable", "wired.service"),
        *([("systemctl", "disable", *SERVERS)] if more else []),
        ("systemctl", "mask", *MASKED),
        ("update-initramfs", "-u"),
    ):
        process.run(["chroot", root, *command], check=True, timeout_s=TIMEOUT_S)


def _write_disk(root: Path, folder: Path) -> None:
    for kind in ("vmlinuz", "initrd.img"):
        shutil.copy(next((root / "boot").glob(f"{kind}-*")), folder / kind)
    command = ["mke2fs", "-q", "-t", "ext4", "-N", INODES, "-L", "root", "-d", root, folder / "disk.img", DISK_SIZE]
    process.run(command, check=True, timeout_s=TIMEOUT_S)


def _disk(folder: Path) -> Disk:
    return Disk(folder / "disk.img", folder / "vmlinuz", folder / "initrd.img")
