"""Small programs that misbehave. Each writes down itself and every child as `pid ticks role`, as they start."""

from __future__ import annotations

import textwrap

# What every program begins with. `note` tells who this process is; one write, so that lines never mix.
PRELUDE = """
import os, signal, sys, time

def note(role):
    with open("/proc/self/stat", "rb") as file:
        ticks = file.read().rpartition(b")")[2].split()[19].decode()
    out = os.open(PEOPLE, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(out, f"{os.getpid()} {ticks} {role}\\n".encode())
    os.close(out)

def deaf(*numbers):
    for number in numbers or (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)

def forked():
    "True in the child."
    return os.fork() == 0

def orphaned():
    "Fork and end the parent, so that this goes on as somebody else's child."
    if os.fork():
        os._exit(0)

def blot_environment():
    "Overwrite what /proc shows as this process's environment, as setproctitle does."
    import ctypes
    with open("/proc/self/stat", "rb") as file:
        fields = file.read().rpartition(b")")[2].split()
    start, end = int(fields[47]), int(fields[48])
    ctypes.memset(start, 0, end - start)

def sleep():
    while True:
        time.sleep(60)
"""


def program(people: str, source: str) -> str:
    """The whole text of a program that notes its processes in the file `people`."""
    return f"PEOPLE = {people!r}\n{PRELUDE}\n{textwrap.dedent(source)}"


OBEDIENT = """
    note("generator")
    print("up", flush=True)
    sleep()
"""

GRACEFUL = """
    def finish(number, frame):
        print("saving", flush=True)
        time.sleep(0.7)
        print("saved", flush=True)
        sys.exit(0)
    signal.signal(signal.SIGINT, finish)
    note("generator")
    print("up", flush=True)
    sleep()
"""

WITH_DAEMON = """
    note("generator")
    if forked():
        os.setsid()
        note("grandchild")
        sleep()
    print("up", flush=True)
    sleep()
"""

DEAF_GRANDCHILD = """
    note("generator")
    if forked():
        deaf()
        note("grandchild")
        sleep()
    print("up", flush=True)
    sleep()
"""

ORPHAN = """
    note("generator")
    if forked():
        os.setsid()
        orphaned()
        note("grandchild")
        sleep()
    os.wait()
    print("up", flush=True)
    sleep()
"""

WITHOUT_ENVIRONMENT = """
    note("generator")
    if forked():
        os.setsid()
        orphaned()
        note("grandchild")
        os.execve("/bin/sh", ["sh", "-c", "trap '' INT TERM; while :; do sleep 1; done"], {})
    os.wait()
    print("up", flush=True)
    sleep()
"""

BLOTTED_ENVIRONMENT = """
    note("generator")
    if forked():
        os.setsid()
        orphaned()
        deaf()
        blot_environment()
        note("grandchild")
        sleep()
    os.wait()
    print("up", flush=True)
    sleep()
"""

OUTLIVED = """
    note("generator")
    if forked():
        os.setsid()
        note("grandchild")
        print("up", flush=True)
        sleep()
    time.sleep(0.2)
"""

# Asked to stop, it forks fifty times: each forks the next, and ends. The last one lives on.
CHAIN = """
    note("generator")
    def run_away(number, frame):
        deaf()
        for link in range(50):
            time.sleep(PAUSE)
            if os.fork():
                os._exit(0)
            ESCAPE
            note(f"link {link}")
        sleep()
    signal.signal(signal.SIGINT, run_away)
    signal.signal(signal.SIGTERM, run_away)
    print("up", flush=True)
    sleep()
"""


def chain(*, pause_s: float, escaping: bool) -> str:
    """With `escaping` each link leaves session and environment behind as well."""
    escape = "os.setsid(); blot_environment()" if escaping else "pass"
    return CHAIN.replace("PAUSE", str(pause_s)).replace("ESCAPE", escape)


# Everything that can be wrong with an output, and then 10,000 lines a second.
NOISY = r"""
    note("generator")
    out = sys.stdout.buffer
    out.write(b"x" * 90_000 + b"\n")
    out.write(b"".join(b"\rprogress %d%%" % number for number in range(2_000)) + b"\n")
    out.write(b"\xff\xfe\x80 no text \xc3\x28 \xed\xa0\x80\n")
    out.write(b"\x1b]0;owned\x07\x1b[2J\x1b[31mred\x1b[0m\x1bc\x9b5n\x90q\x9c\x1b]52;c;aGk=\x07 end\n")
    out.write("\u202eright to left\u2066 \u200bhidden \x85 \x08\x08\x08\n".encode())
    out.write(b"up\n")
    out.flush()
    began = time.monotonic()
    for number in range(LINES):
        if number % 100 == 0:
            time.sleep(max(0.0, began + number / 10_000 - time.monotonic()))
        out.write(b"\x1b[1mline\x1b[0m %d of a very busy log\r\n" % number)
    out.flush()
    print("\x1b[5mquiet now\x07", flush=True)
    sleep()
"""
