# SPDX-License-Identifier: GPL-2.0-or-later
"""QEMU's GDB stub, as far as tests need it: looks at registers of the emulated PC's CPUs, and
changes them. The machine stands still from the connection on, until go()."""
import re
import socket
import time

RIP, EFLAGS = 16, 17


class Stub:
    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(60)
        self.socket.connect(path)
        self.seen = b""
        self.answer()  # that the machine has stopped
        # Single registers are had only by who knows which there are.
        self.ask("qXfer:features:read:target.xml:0,ffb")

    def ask(self, text):
        self.socket.sendall(f"${text}#{sum(text.encode()) & 255:02x}".encode())
        return self.answer()

    def answer(self):
        """The next packet, $TEXT#SUM, whatever acknowledgements come before it."""
        while not (packet := re.search(rb"\$([^#]*)#..", self.seen, re.S)):
            new = self.socket.recv(4096)
            if not new:
                raise EOFError("QEMU closed the debugger's socket")
            self.seen += new
        self.seen = self.seen[packet.end():]
        self.socket.sendall(b"+")
        return packet[1].decode(errors="replace")

    def read(self, cpu, register):
        self.ask(f"Hg{cpu + 1:x}")
        return int.from_bytes(bytes.fromhex(self.ask(f"p{register:x}")), "little")

    def write(self, cpu, register, value):
        size = 4 if register == EFLAGS else 8
        self.ask(f"Hg{cpu + 1:x}")
        assert self.ask(f"P{register:x}={value.to_bytes(size, 'little').hex()}") == "OK"

    def go(self):
        self.socket.sendall(b"$c#63")

    def stop(self):
        self.socket.sendall(b"\x03")
        self.answer()

    def stop_where(self, cpu, first, end, seconds=60):
        """Lets the machine run until it is found with the CPU's RIP in [first, end)."""
        limit = time.monotonic() + seconds
        while not first <= self.read(cpu, RIP) < end:
            if time.monotonic() > limit:
                raise TimeoutError(f"CPU {cpu} is never between {first:#x} and {end:#x}")
            self.go()
            time.sleep(0.05)
            self.stop()
