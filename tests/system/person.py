# SPDX-License-Identifier: GPL-2.0-or-later
"""Someone at a terminal, for tests: starts a command on one, reads what comes, types."""
import os
import pty
import re
import select
import signal
import sys
import time


class Unseen(Exception):
    """What was waited for did not come: the time was up, or the command ended."""


class Person:
    """`limit` is how many seconds all of it may take; what is read goes to the file `log`, too."""

    def __init__(self, command, limit, log=None):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.execvp(command[0], command)
        self.seen, self.began, self.limit = b"", time.monotonic(), limit
        self.log = open(log, "wb") if log else None

    def tell(self, text):
        print(f"{time.monotonic() - self.began:6.1f} s  {text}", flush=True)

    def read(self):
        """What comes next; empty at the command's end."""
        left = self.began + self.limit - time.monotonic()
        if left <= 0 or not select.select([self.fd], [], [], left)[0]:
            raise Unseen("the time is up")
        try:
            new = os.read(self.fd, 65536)
        except OSError:  # so reads a terminal whose other end is gone
            new = b""
        if self.log:
            self.log.write(new)
            self.log.flush()
        return new

    def wait_for(self, pattern):
        """Reads on until the pattern comes up, and returns the match; what is before it is
        forgotten."""
        while True:
            match = re.search(pattern, self.seen)
            if match:
                self.seen = self.seen[match.end():]
                return match
            new = self.read()
            if not new:
                raise Unseen("the command ended")
            self.seen += new

    def see(self, pattern):
        match = self.wait_for(pattern)
        self.tell(f"saw {match[0].decode(errors='replace').strip()}")
        return match

    def type(self, line, end=b"\r"):
        """Not at once: a program that has just prompted may still throw away what is typed."""
        time.sleep(0.5)
        os.write(self.fd, line + end)

    def end(self):
        """Reads to the command's end, and returns its status."""
        while self.read():
            pass
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])

    def give_up(self, reason):
        print(f"never seen: {reason}; the last lines:")
        print(self.seen[-3000:].decode(errors="replace"), flush=True)
        try:
            os.kill(self.pid, signal.SIGTERM)
            os.waitpid(self.pid, 0)
        except (ProcessLookupError, ChildProcessError):
            pass


def finish(passed, failed):
    print(f"{passed} passed, {failed} failed, 0 skipped")
    sys.exit(failed != 0)
