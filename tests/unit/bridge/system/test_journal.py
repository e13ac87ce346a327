"""Log lines to the journal (a real datagram socket in its place) and to a terminal (a real pseudo-terminal)."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import pty
import re
import socket
import struct
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.system import journal
from bridge.system.journal import JournalHandler, TerminalHandler, encode


def decode(datagram: bytes) -> list[tuple[str, bytes]]:
    """The native protocol as systemd.io/JOURNAL_NATIVE_PROTOCOL describes it, both of its forms."""
    fields = []
    while datagram:
        head, datagram = datagram.split(b"\n", 1)
        if b"=" in head:
            name, value = head.split(b"=", 1)
        else:
            name = head
            (length,) = struct.unpack_from("<Q", datagram)
            value, end, datagram = datagram[8 : 8 + length], datagram[8 + length : 9 + length], datagram[9 + length :]
            assert end == b"\n"
            assert len(value) == length
        fields.append((name.decode(), value))
    return fields


@pytest.fixture
def journald(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "socket"))
        listener.settimeout(10)
        monkeypatch.setattr(journal, "JOURNAL_SOCKET", str(tmp_path / "socket"))
        yield listener


@pytest.fixture
def logger() -> Iterator[logging.Logger]:
    logger = logging.getLogger("bridge.test_journal")
    handler = JournalHandler("scan-bridge")
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    logger.propagate = False
    yield logger
    logger.removeHandler(handler)
    logger.propagate = True
    handler._socket.close()


def received(journald: socket.socket) -> dict[str, str]:
    fields = decode(journald.recv(1_000_000))
    assert len(fields) == len({name for name, _ in fields}), "a field came twice"
    return {name: value.decode() for name, value in fields}


# ---- the encoding


def test_a_field_is_its_name_its_length_and_its_value() -> None:
    assert encode({"MESSAGE": "hi", "LAG_MS": 1.5}) == (
        b"MESSAGE\n\x02\0\0\0\0\0\0\0hi\n" + b"LAG_MS\n\x03\0\0\0\0\0\0\x001.5\n"
    )


@pytest.mark.parametrize(
    "value", ["a\nPRIORITY=0", "a\n\nMESSAGE=forged", "PRIORITY\n\x01\0\0\0\0\0\0\x000\n", "=", "\n", "", "λ\0"]
)
def test_no_value_can_forge_a_field_or_a_line(value: str) -> None:
    assert decode(encode({"MESSAGE": value, "PRIORITY": "6"})) == [("MESSAGE", value.encode()), ("PRIORITY", b"6")]


def test_a_name_that_is_no_utf8_is_told_escaped() -> None:
    assert decode(encode({"SCAN_PATH": "a\udcffb"})) == [("SCAN_PATH", rb"a\udcffb")]


@pytest.mark.exhaustive
@given(st.dictionaries(st.from_regex(r"[A-Z][A-Z0-9_]{0,20}", fullmatch=True), st.text()))
def test_every_value_arrives_as_it_was(fields: dict[str, str]) -> None:
    expected = [(name, value.encode(errors="backslashreplace")) for name, value in fields.items()]
    assert decode(encode(fields)) == expected


# ---- to the journal


def test_a_record_arrives_with_its_message_fields_and_origin(logger: logging.Logger, journald: socket.socket) -> None:
    logger.info("published %s", "a.arrow", extra={"fields": {"SCAN_PATH": "2026-03-24/a.arrow", "LAG_MS": 1.234}})
    fields = received(journald)
    assert fields["MESSAGE"] == "published a.arrow"
    assert fields["PRIORITY"] == "6"
    assert fields["SYSLOG_IDENTIFIER"] == "scan-bridge"
    assert fields["LOGGER"] == "bridge.test_journal"
    assert fields["SCAN_PATH"] == "2026-03-24/a.arrow"
    assert fields["LAG_MS"] == "1.234"
    assert fields["CODE_FILE"] == __file__
    assert fields["CODE_FUNC"] == "test_a_record_arrives_with_its_message_fields_and_origin"
    assert int(fields["CODE_LINE"]) > 0


@pytest.mark.parametrize(
    ("level", "priority"),
    [
        (logging.DEBUG, "7"),
        (logging.INFO, "6"),
        (logging.WARNING, "4"),
        (logging.ERROR, "3"),
        (logging.CRITICAL, "2"),
        (logging.WARNING + 5, "4"),
    ],
)
def test_levels_become_the_journals_priorities(
    logger: logging.Logger, journald: socket.socket, level: int, priority: str
) -> None:
    logger.log(level, "x")
    assert received(journald)["PRIORITY"] == priority


def test_a_traceback_goes_with_its_message(logger: logging.Logger, journald: socket.socket) -> None:
    try:
        raise RuntimeError("boom")
    except RuntimeError:
        logger.exception("a stage failed")
    message = received(journald)["MESSAGE"]
    assert message.startswith("a stage failed\nTraceback (most recent call last):\n")
    assert message.endswith("RuntimeError: boom")


def test_a_journal_that_is_away_costs_the_record_not_the_program_and_is_told_once_how_many(
    logger: logging.Logger, journald: socket.socket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as away:
        away.setattr(journal, "JOURNAL_SOCKET", str(tmp_path / "nowhere"))
        logger.info("lost")
        logger.info("lost too")
    for number in range(2):
        logger.info("%d", number)
    loss = received(journald)
    assert (loss["MESSAGE"], loss["PRIORITY"]) == ("the journal did not take 2 log lines before this", "4")
    assert [received(journald)["MESSAGE"] for _ in range(2)] == ["0", "1"]


def test_a_journal_that_hangs_does_not_hold_up_the_program(logger: logging.Logger, journald: socket.socket) -> None:
    """Nobody reads: the socket's queue fills up, and a send would wait for ever."""
    handler = logger.handlers[0]
    assert isinstance(handler, JournalHandler)
    handler._socket.settimeout(0.01)  # the real one is 0.2 s
    for number in range(10_000):
        logger.info("%d", number)
        if handler._lost:
            break
    assert handler._lost
    assert received(journald)["MESSAGE"] == "0"


def test_the_real_deadline_of_a_send_is_short() -> None:
    handler = JournalHandler("scan-bridge")
    timeout_s = handler._socket.gettimeout()
    handler._socket.close()
    assert timeout_s is not None
    assert 0 < timeout_s <= 1


# ---- which of the two


def test_under_systemd_lines_go_to_the_journal(
    tmp_path: Path, journald: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (tmp_path / "stderr").open("w") as stderr:
        info = os.fstat(stderr.fileno())
        monkeypatch.setattr(sys, "stderr", stderr)
        monkeypatch.setenv("JOURNAL_STREAM", f"{info.st_dev}:{info.st_ino}")
        journal.set_up("info")
        logging.getLogger("bridge.x").info("hello")
    assert received(journald)["MESSAGE"] == "hello"
    assert (tmp_path / "stderr").read_text() == ""


@pytest.mark.parametrize("is_ours", [True, False])
def test_started_by_systemd_without_a_journal_lines_go_to_the_journal_nevertheless(
    journald: socket.socket, monkeypatch: pytest.MonkeyPatch, is_ours: bool
) -> None:
    """A child whose parent sends its stderr to /dev/null inherits the variable, but means what it says."""
    monkeypatch.delenv("JOURNAL_STREAM", raising=False)
    monkeypatch.setenv("SYSTEMD_EXEC_PID", str(os.getpid() if is_ours else os.getppid()))
    with open(os.devnull, "w") as stderr:
        monkeypatch.setattr(sys, "stderr", stderr)
        journal.set_up("info")
        logging.getLogger("bridge.x").info("hello")
    assert isinstance(logging.getLogger().handlers[0], JournalHandler) == is_ours
    if is_ours:
        assert received(journald)["MESSAGE"] == "hello"


@pytest.mark.parametrize("stream", [None, "1:2", ""])
def test_otherwise_lines_go_to_stderr(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, stream: str | None) -> None:
    """Also where the variable was inherited, but stderr was redirected since."""
    monkeypatch.delenv("JOURNAL_STREAM", raising=False)
    if stream is not None:
        monkeypatch.setenv("JOURNAL_STREAM", stream)
    with (tmp_path / "stderr").open("w") as stderr:
        monkeypatch.setattr(sys, "stderr", stderr)
        journal.set_up("info")
        logging.getLogger("bridge.x").info("hello")
    assert (tmp_path / "stderr").read_text().endswith(" INFO     hello\n")


def test_a_stderr_that_is_no_file_is_no_journal(monkeypatch: pytest.MonkeyPatch) -> None:
    stderr = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stderr)
    monkeypatch.setenv("JOURNAL_STREAM", "1:2")
    journal.set_up("info")
    logging.getLogger("bridge.x").info("hello")
    assert stderr.getvalue().endswith("hello\n")


def test_only_the_level_asked_for_and_above_is_written_and_each_line_once(monkeypatch: pytest.MonkeyPatch) -> None:
    stderr = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stderr)
    journal.set_up("debug")
    journal.set_up("warning")  # as a reload does
    for level in (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR):
        logging.getLogger("bridge.x").log(level, "at %d", level)
    assert re.findall(r"at (\d+)", stderr.getvalue()) == ["30", "40"]


def test_what_the_hazelcast_client_logs_is_for_debugging_only(monkeypatch: pytest.MonkeyPatch) -> None:
    stderr = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stderr)
    journal.set_up("info")
    logging.getLogger("hazelcast.connection").error("with a traceback")
    assert stderr.getvalue() == ""
    journal.set_up("debug")
    logging.getLogger("hazelcast.connection").error("with a traceback")
    assert "with a traceback" in stderr.getvalue()


# ---- to a terminal


def terminal_line(level: int, message: str, *arguments: object) -> str:
    record = logging.LogRecord("bridge.x", level, __file__, 1, message, arguments, None)
    return TerminalHandler().format(record)


def test_a_line_has_time_level_and_message(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    assert re.fullmatch(r"\d\d:\d\d:\d\d\.\d{3} WARNING  it is 5", terminal_line(logging.WARNING, "it is %d", 5))


def test_a_message_with_line_breaks_or_escapes_cannot_pass_for_lines_of_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    first, second = terminal_line(logging.WARNING, "lost: %s", "a\n12:00:00.000 INFO all is well\x1b[2J").splitlines()
    assert first.endswith(" WARNING  lost: a")
    assert second == r"  12:00:00.000 INFO all is well\x1b[2J"


def test_words_of_all_languages_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    assert terminal_line(logging.INFO, "/daten/Prüfung → λ").endswith("/daten/Prüfung → λ")


@contextlib.contextmanager
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """With stderr on a pseudo-terminal. No fixture: pytest sets stderr anew when the test itself begins."""
    ours, theirs = pty.openpty()
    monkeypatch.delenv("NO_COLOR", raising=False)
    with os.fdopen(theirs, "w") as stderr, monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", stderr)
        yield
    os.close(ours)


@pytest.mark.parametrize(
    ("level", "colour"),
    [(logging.DEBUG, "2"), (logging.WARNING, "33"), (logging.ERROR, "31"), (logging.CRITICAL, "1;31")],
)
def test_on_a_terminal_levels_have_colours(monkeypatch: pytest.MonkeyPatch, level: int, colour: str) -> None:
    with terminal(monkeypatch):
        line = terminal_line(level, "x")
    assert line.startswith(f"\x1b[{colour}m")
    assert line.endswith("x\x1b[0m")


def test_info_has_the_terminals_own_colour(monkeypatch: pytest.MonkeyPatch) -> None:
    with terminal(monkeypatch):
        assert "\x1b" not in terminal_line(logging.INFO, "x")


def test_no_color_is_respected(monkeypatch: pytest.MonkeyPatch) -> None:
    with terminal(monkeypatch):
        monkeypatch.setenv("NO_COLOR", "1")
        assert "\x1b" not in terminal_line(logging.ERROR, "x")
