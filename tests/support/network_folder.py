"""Folders on a network that one machine can have alone: it serves a folder, and mounts it from its own loopback.

It mounts it twice, as two hosts would: for the bridge, and elsewhere, with a cache of its own, for writers.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

from support.virtual_machine import VirtualMachine

SERVED = "/srv/served"
ELSEWHERE = "/srv/elsewhere"
# An address of the loopback that can be taken away without the others.
SERVER = "127.0.0.2"
# NFS of version 4 alone, which needs no rpcbind; a server that was started waits 10 s for its clients, not 90.
NFS = "[nfsd]\nvers3=n\nthreads=4\nlease-time=10\ngrace-time=10\n"
EXPORTS = f"{SERVED} 127.0.0.0/8(rw,sync,no_root_squash,no_subtree_check,fsid=1)\n"
SMB = f"""\
[global]
server role = standalone server
map to guest = Bad User
disable netbios = yes
smb ports = 445
load printers = no
[scans]
path = {SERVED}
guest ok = yes
read only = no
force user = root
"""


class NetworkFolder(ABC):
    """The folder SERVED, at `point` as the network shows it. Use `serve` first, and `close` in any case."""

    elsewhere = ELSEWHERE  # the same once more, as another host has it

    def __init__(self, machine: VirtualMachine, point: str) -> None:
        self.machine = machine
        self.point = point

    def serve(self) -> None:
        """Serve it, and mount it at both places."""
        script = 'rm -rf "$1"; mkdir --parents "$@"'  # a point to mount at is empty
        self.machine.run("sh", "-c", script, "sh", self.point, SERVED, ELSEWHERE)
        self.start_server()
        self.mount()
        self.mount_elsewhere()

    @abstractmethod
    def start_server(self) -> None:
        """Serve it (again)."""

    @abstractmethod
    def mount(self) -> None:
        """Mount it for the bridge (again)."""

    @abstractmethod
    def mount_elsewhere(self) -> None:
        """Mount it for writers."""

    @abstractmethod
    def stop_server(self) -> None:
        """Serve it no more; what is mounted stays mounted."""

    def unmount(self) -> None:
        """Take it from the bridge, in use or not."""
        self.machine.run("umount", "--lazy", self.point)

    def cut_off(self) -> None:
        """From now on nothing reaches the server, and nobody is told so."""
        self.machine.run("tc", "qdisc", "add", "dev", "lo", "clsact")
        drop = f"protocol ip u32 match ip dst {SERVER}/32 action drop"
        self.machine.run("tc", "filter", "add", "dev", "lo", "ingress", *drop.split())

    def connect(self) -> None:
        """The server is reached again."""
        self.machine.run("tc", "qdisc", "delete", "dev", "lo", "clsact")

    def close(self) -> None:
        """Leave nothing of it, whatever state it is in. It must be served."""
        self.machine.run("tc", "qdisc", "delete", "dev", "lo", "clsact", check=False)
        script = 'for at; do while umount --lazy "$at" 2>/dev/null; do :; done; done'
        self.machine.run("sh", "-c", script, "sh", self.point, ELSEWHERE)
        self.stop_server()
        self.machine.run("rm", "-rf", SERVED)


class Nfs(NetworkFolder):
    """NFS of version 4, from the kernel's own server."""

    def __init__(self, machine: VirtualMachine, point: str, options: str) -> None:
        super().__init__(machine, point)
        self._options = options

    def start_server(self) -> None:
        self.machine.write("/etc/nfs.conf.d/machine.conf", NFS)
        self.machine.write("/etc/exports", EXPORTS)
        self.machine.run("systemctl", "start", "nfs-server")

    def stop_server(self) -> None:
        self.machine.run("systemctl", "stop", "nfs-server")

    def mount(self) -> None:
        self._mount(self.point, self._options)

    def mount_elsewhere(self) -> None:
        self._mount(ELSEWHERE, "hard,nosharecache")

    def _mount(self, point: str, options: str) -> None:
        self.machine.run("mount", "-t", "nfs4", "-o", f"vers=4.2,{options}", f"{SERVER}:{SERVED}", point)


class Smb(NetworkFolder):
    """SMB of version 3, from Samba."""

    def start_server(self) -> None:
        self.machine.write("/etc/samba/smb.conf", SMB)
        self.machine.run("systemctl", "start", "smbd")

    def stop_server(self) -> None:
        self.machine.run("systemctl", "stop", "smbd")

    def mount(self) -> None:
        self._mount(self.point, "vers=3.1.1")

    def mount_elsewhere(self) -> None:
        self._mount(ELSEWHERE, "vers=3.1.1,nosharesock")

    def _mount(self, point: str, options: str) -> None:
        self.machine.run("mount", "-t", "cifs", "-o", f"guest,{options}", f"//{SERVER}/scans", point)


class Fuse(NetworkFolder):
    """FUSE, by bindfs: what is written below it makes no event in it."""

    elsewhere = SERVED

    def start_server(self) -> None:
        """It is served by who mounts it."""

    def stop_server(self) -> None:
        """It ends when it is unmounted."""

    def mount(self) -> None:
        self.machine.run("bindfs", SERVED, self.point)

    def mount_elsewhere(self) -> None:
        """It is written below."""
