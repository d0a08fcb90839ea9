"""The command `gnomon`, already loaded: a server that forks itself for each call, and a stand-in for the script.

A page of the documentation calls the command a dozen times, and most of a call is loading what it imports. The server
has imported it; a call is a copy of it with the caller's arguments, folder, environment, streams and exit code.

    python warm_command.py SOCKET        the server; it says "ready" and ends with its standard input
    python warm_command.py SOCKET ...    the stand-in: a call with the arguments that follow
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import signal
import socket
import struct
import sys
import threading

LOADED = (
    "gnomon.cli.main",
    "gnomon.jobs.ingest",
    "gnomon.jobs.replay",
    "gnomon.jobs.sessions",
    "gnomon.jobs.stage",
    "gnomon.replay.run",
    "gnomon.score.compare",
    "gnomon.settings",
    "gnomon.sources.instruments",
    "gnomon.sources.sessions",
    "gnomon.store.bots",
    "gnomon.store.seal",
    "gnomon.store.sessions",
    "gnomon.store.store",
    "alembic.command",
    "httpx",
    "numpy",
    "pandas",
    "pyarrow.parquet",
    "sqlalchemy.dialects.sqlite",
)
CALL, STREAMS = struct.Struct("!I"), 3


def serve(path: str) -> None:
    for name in LOADED:
        importlib.import_module(name)
    with socket.socket(socket.AF_UNIX) as door:
        door.bind(path)
        door.listen(16)
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for who answers a call
        print("ready", flush=True)  # noqa: T201 - to whoever started it
        threading.Thread(target=_end_with_input, daemon=True).start()
        while True:
            call, _ = door.accept()
            if os.fork() == 0:
                door.close()
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                _answer(call)
            call.close()


def _end_with_input() -> None:
    sys.stdin.read()
    os._exit(0)


def _answer(call: socket.socket) -> None:
    """In a process of the call's own: run it in another, tell the caller which, and how it ended."""
    head, streams, _, _ = socket.recv_fds(call, CALL.size, STREAMS)
    (length,) = CALL.unpack(head)
    with call.makefile("rb") as file:
        said = json.loads(file.read(length))
    child = os.fork()
    if child == 0:
        call.close()
        _run(said, streams)
    for one in streams:
        os.close(one)
    with contextlib.suppress(OSError):  # a caller that is gone already
        call.sendall(CALL.pack(child))
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    with contextlib.suppress(OSError):
        call.sendall(CALL.pack(code if code >= 0 else 128 - code))
    os._exit(0)


def _run(said: dict[str, object], streams: list[int]) -> None:
    """As the script would: `sys.exit(main())` in an interpreter that ends."""
    for number, one in enumerate(streams):
        os.dup2(one, number)
        os.close(one)
    os.chdir(str(said["folder"]))
    os.environ.clear()
    os.environ.update(said["environment"])
    sys.argv = ["gnomon", *said["arguments"]]
    sys.stdin, sys.stdout, sys.stderr = open(0), open(1, "w"), open(2, "w", buffering=1)  # noqa: SIM115 - numbers
    from gnomon.cli.main import main

    code = 1
    try:
        main()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        import atexit

        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def call(path: str, arguments: list[str]) -> int:
    said = {"arguments": arguments, "folder": os.getcwd(), "environment": dict(os.environ)}  # noqa: PTH109 - a light start
    text = json.dumps(said).encode()
    with socket.socket(socket.AF_UNIX) as line:
        line.connect(path)
        socket.send_fds(line, [CALL.pack(len(text))], range(STREAMS))
        line.sendall(text)
        with line.makefile("rb") as file:
            (child,) = CALL.unpack(file.read(CALL.size))
            for one in (signal.SIGINT, signal.SIGTERM):
                signal.signal(one, lambda number, _: os.kill(child, number))
            (code,) = CALL.unpack(file.read(CALL.size))
    return int(code)


if __name__ == "__main__":
    if len(sys.argv) == 2:
        serve(sys.argv[1])
    sys.exit(call(sys.argv[1], sys.argv[2:]))
