"""One Hazelcast member for all tests of a run, in whichever process they are: it is started by the first that needs it.

It ends with the run (`support.leftovers`), not with the process that started it, which may be done before the others.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from support.hazelcast_member import Member
from support.leftovers import RUN

HEAP = "1g"  # for the tests of all workers at once; what it does not need it does not take


def shared_member() -> Member:
    """The member, running; to be asked only for its address, its name and clients.

    Raises:
        MemberError: it could not be started.
    """
    folder = Path(os.environ[RUN])
    started = folder / "member"  # its port and its name
    with (folder / "member.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not started.exists():
            member = Member(java_options=(f"-Xmx{HEAP}",), ends_with_run=True).start()
            started.write_text(f"{member.port} {member.cluster_name}")
    port, name = started.read_text().split()
    return Member(name, port=int(port))
