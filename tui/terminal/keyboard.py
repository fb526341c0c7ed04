"""Reads keys as Textual's driver does, and does not hold esc back for longer than the terminal could need.

An esc alone looks like the start of a longer key until nothing follows. Textual looks whether the time for that is up
ten times a second, so that the key takes 0.1 s more, half of what a person notices.
"""

from __future__ import annotations

import os
import select
from codecs import getincrementaldecoder
from contextlib import suppress

from textual._parser import ParseError
from textual._xterm_parser import XTermParser
from textual.constants import ESCAPE_DELAY
from textual.drivers.linux_driver import LinuxDriver

IDLE_MS = 100
ESCAPE_MS = int(ESCAPE_DELAY * 1000) + 1


class PromptDriver(LinuxDriver):
    def run_input_thread(self) -> None:
        """Wait for keys and hand them to the application until the driver is told to end."""
        line = select.poll()
        line.register(self.fileno, select.POLLIN)
        parser = XTermParser(self._debug)
        decode = getincrementaldecoder("utf-8")(errors="replace").decode
        text = ""
        while not self.exit_event.is_set():
            ready = line.poll(ESCAPE_MS if text.endswith("\x1b") else IDLE_MS)
            text = ""
            if ready:
                octets = os.read(self.fileno, 4096)
                text = decode(octets)
                if not octets:
                    break
                for message in parser.feed(text) if text else ():  # half a character is none yet, and "" the end
                    self.process_message(message)
            for message in parser.tick():
                self.process_message(message)
        with suppress(EOFError, ParseError):
            list(parser.feed(""))
