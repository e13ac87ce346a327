"""All of watchdog that the bridge uses: its `InotifyFD`, read by the event loop instead of by a thread of its own.

Its documented API, an Observer, will not do: it tells no handler that events were lost, so that nothing would look
for what they announced; and it hands each event through three threads.
"""

from __future__ import annotations

from watchdog.observers.inotify_c import (
    CallbackId,
    InotifyConstants,
    InotifyEvent,
    InotifyFD,
    Mask,
    WatchDescriptor,
)

__all__ = ["CallbackId", "Inotify", "InotifyConstants", "InotifyEvent", "Mask", "WatchDescriptor"]

# Private names of watchdog that are used below: attributes of the class, and one that its constructor sets.
_USED = ("_close_resources", "add_callback", "handle_event", "read_events", "remove_callbacks")
_SET = ("_inotify_fd",)
_missing = [
    *(name for name in _USED if not hasattr(InotifyFD, name)),
    *(name for name in _SET if name not in InotifyFD.__init__.__code__.co_names),
]
if _missing:
    raise ImportError(f"watchdog's InotifyFD has no {', '.join(_missing)}; this bridge needs watchdog 7.1")


class Inotify(InotifyFD):
    """One inotify instance. A thread by class, never started."""

    def fileno(self) -> int:
        """The descriptor, for the event loop."""
        return self._inotify_fd

    def dispatch(self) -> bool:
        """Hand the events that wait to their watches. Call it when `fileno` is readable. False if some were lost."""
        lost = False
        for event in self.read_events():
            lost |= event.is_queue_overflow
            if not event.is_queue_overflow:
                self.handle_event(event)
        return not lost

    def give_up(self) -> None:
        """Close the descriptors: `close` would leave that to the thread."""
        self._close_resources()
