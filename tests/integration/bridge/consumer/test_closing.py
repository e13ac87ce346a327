"""The end of a consumer: within its deadline whatever Hazelcast does, final, and not shared with a forked process."""

from __future__ import annotations

import sys
import threading
import time

import pytest
from support import process
from support.hazelcast_member import Member
from support.scan_values import NewConsumer, Writer

from bridge.consumer import Closed, ScanConsumer, Settings

pytestmark = pytest.mark.hazelcast

PATIENCE_S = 30.0


def test_it_closes_while_hazelcast_hangs(consume: NewConsumer, own_member: Member, own_writer: Writer) -> None:
    own_writer.publish("a")
    consumer = consume(own_member, own_writer, call_timeout_s=600.0, look_s=0.05)
    consumer.newest()
    own_member.pause()

    consumer.close(timeout_s=PATIENCE_S)

    assert not names_of_running()
    own_member.resume()


def test_it_closes_while_it_connects_to_a_member_that_hangs(
    consume: NewConsumer, own_member: Member, own_writer: Writer
) -> None:
    own_member.pause()
    consumer = consume(own_member, own_writer, connect_timeout_s=600.0)

    consumer.close(timeout_s=PATIENCE_S)

    assert not names_of_running()
    own_member.resume()


def names_of_running() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("scan-consumer")]


def test_whoever_waits_for_the_first_answer_is_told_that_it_was_closed(
    consume: NewConsumer, own_member: Member, own_writer: Writer
) -> None:
    own_member.pause()
    consumer = consume(own_member, own_writer, connect_timeout_s=600.0)
    told = threading.Event()

    def wait() -> None:
        try:
            consumer.newest()
        except Closed:
            told.set()

    threading.Thread(target=wait, daemon=True).start()
    time.sleep(0.1)  # so that it waits already; without that the test would still be right
    consumer.close()

    assert told.wait(PATIENCE_S)
    own_member.resume()


def test_nothing_works_after_it_was_closed_and_closing_twice_does(
    consume: NewConsumer, member: Member, writer: Writer
) -> None:
    writer.publish("a")
    consumer = consume(member, writer)
    scans = consumer.follow()
    next(scans)
    consumer.close()
    consumer.close()

    for use in (consumer.newest, consumer.follow, lambda: consumer.history(0)):
        with pytest.raises(Closed, match="was closed"):
            use()
    assert next(scans, None) is None


FORKING = """
import os, sys
from bridge.consumer import Closed, ScanConsumer, Settings
consumer = ScanConsumer(Settings([sys.argv[1]], sys.argv[2], map=sys.argv[3], max_age_s=600))
scans = consumer.follow()
next(scans)
pid = os.fork()
if pid == 0:
    for use in (consumer.newest, consumer.follow, lambda: next(scans), lambda: next(scans)):
        try:
            use()
            os._exit(1)
        except Closed as error:
            assert "forked" in str(error)
    consumer.close()
    with ScanConsumer(consumer.settings) as own:
        os._exit(0 if own.newest().table.num_rows else 2)
assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
consumer.newest()
print("done")  # and it ends without having been closed
"""


def test_a_forked_process_is_told_to_make_its_own_and_the_first_one_goes_on(member: Member, writer: Writer) -> None:
    writer.publish("a")
    command = [sys.executable, "-c", FORKING, member.address, member.cluster_name, writer.map_name]

    done = process.run(command)

    assert (done.returncode, done.stdout, done.stderr) == (0, "done\n", "")


def test_a_consumer_of_nobody_can_be_closed_at_once() -> None:
    ScanConsumer(Settings(["127.0.0.1:1"])).close(timeout_s=PATIENCE_S)
    assert not names_of_running()
