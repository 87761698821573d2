# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Tests of collecting what native libraries print on stderr."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading

import pytest

from crack_perception.vision.images.native_messages import native_messages

PATTERN = re.compile(r"^Corrupt .*$", re.MULTILINE)


def print_natively(text: str) -> None:
    os.write(2, text.encode())


def test_native_messages_are_collected_and_other_text_is_printed(capfd: pytest.CaptureFixture[str]) -> None:
    with native_messages(PATTERN) as messages:
        print_natively("Corrupt JPEG data\na log line\nCorrupt again\n")
    assert [message[0] for message in messages] == ["Corrupt JPEG data", "Corrupt again"]
    assert capfd.readouterr().err == "a log line\n"


def test_native_messages_nested_block_passes_on_those_of_the_outer(capfd: pytest.CaptureFixture[str]) -> None:
    with native_messages(re.compile(r"^outer$", re.MULTILINE)) as outer:
        with native_messages(PATTERN) as inner:
            print_natively("Corrupt data\nouter\nelse\n")
        print_natively("outer\n")
    assert (len(outer), len(inner)) == (2, 1)
    assert capfd.readouterr().err == "else\n"


def test_native_messages_error_in_the_block_restores_stderr(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValueError, match="x"), native_messages(PATTERN):
        raise ValueError("x")
    print_natively("after\n")
    assert capfd.readouterr().err == "after\n"


def test_native_messages_of_two_threads_are_kept_apart(capfd: pytest.CaptureFixture[str]) -> None:
    counts: list[int] = []

    def collect() -> None:
        for _ in range(50):
            with native_messages(PATTERN) as messages:
                print_natively("Corrupt \n")
            counts.append(len(messages))

    threads = [threading.Thread(target=collect) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counts == [1] * 150
    assert capfd.readouterr().err == ""


def test_native_messages_without_stderr_collects_nothing() -> None:
    program = """
import os, re
os.close(2)
from crack_perception.vision.images.native_messages import native_messages
with native_messages(re.compile(".")) as messages:
    pass
print(messages)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stdout) == (0, "[]\n")
