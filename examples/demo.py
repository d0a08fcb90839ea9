"""The main job end to end on a synthetic market: import, walk forward, forecast, board, gateway with a page.

python examples/demo.py            everything; the gateway stays up in the background on port 8080
python examples/demo.py stop       end that gateway
"""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from datetime import UTC, datetime, timedelta
from pathlib import Path

HOME = Path(os.environ.get("GNOMON_HOME", ".demo")).resolve()
PORT = int(os.environ.get("API_PORT", "8080"))
ADDRESS = f"http://127.0.0.1:{PORT}"
PID_FILE = HOME / "gateway.pid"
ENVIRONMENT = os.environ | {"GNOMON_HOME": str(HOME), "GNOMON_SOURCES": "none"}


def main() -> None:
    if sys.argv[1:] == ["stop"]:
        stop()
        return
    started = time.monotonic()
    stop()
    run("a synthetic market of 23 instruments", "python", "examples/synthetic_market.py", f"{HOME}/market")
    run("import it: checked row by row, stored once", "gnomon", "import", f"{HOME}/market")
    today = datetime.now(UTC).date()
    run(
        "walk forward: forecasts as of every origin, scored against what came",
        *("gnomon", "evaluate", "--timeframe", "1h", "--horizon", "24", "--stride", "24"),
        *("--from", str(today - timedelta(days=300)), "--to", str(today - timedelta(days=1))),
        *("--instruments", "BTCUSDT,ETHUSDT,EURUSD,GOLD,SPY"),
    )
    run(
        "issue forecasts now: 23 instruments, every baseline",
        "gnomon",
        "forecast",
        "--timeframe",
        "1h",
        "--horizon",
        "24",
    )
    run("the ledger proves itself", "gnomon", "verify", "forecasts")
    serve()
    print(f"\nDone in {time.monotonic() - started:.0f} s. The page: {ADDRESS}/  (make demo-stop ends the gateway)")


def run(why: str, *command: str) -> None:
    """Show the command as a person would type it, and run it."""
    print(f"\n# {why}\n$ {shlex.join(command).replace(str(HOME), HOME.name)}", flush=True)
    program = (
        [sys.executable, *command[1:]] if command[0] == "python" else [sys.executable, "-m", "gnomon.cli", *command[1:]]
    )
    if subprocess.run(program, env=ENVIRONMENT, check=False).returncode:
        raise SystemExit(f"{command[1]} failed")


def serve() -> None:
    """Start the gateway in the background and ask it for a forecast."""
    print(f"\n# the gateway\n$ gnomon serve gateway --port {PORT}", flush=True)
    log = (HOME / "gateway.log").open("wb")
    process = subprocess.Popen(
        [sys.executable, "-m", "gnomon.cli", "serve", "gateway", "--port", str(PORT)],
        env=ENVIRONMENT,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        start_new_session=True,
    )
    PID_FILE.write_text(str(process.pid))
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(f"{ADDRESS}/showcase/ml-prediction/BTCUSDT?model=ewma", timeout=5) as answer:
                forecast = json.load(answer)
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.2)
            continue
        steps = [f"{name} {forecast[name][-1]:,.2f}" for name in ("p10", "p50", "p90")]
        print(f"$ curl '{ADDRESS}/showcase/ml-prediction/BTCUSDT?model=ewma'")
        print(f"  {forecast['symbol']} {forecast['timeframe']}, {forecast['pred_len']} bars ahead: {', '.join(steps)}")
        return
    raise SystemExit(
        f"the gateway did not come up; is port {PORT} free? Its log:\n{(HOME / 'gateway.log').read_text()}"
    )


def stop() -> None:
    """End the gateway of an earlier demo, if it is ours and still there."""
    if not PID_FILE.exists():
        return
    pid = int(PID_FILE.read_text())
    PID_FILE.unlink()
    arguments = Path(f"/proc/{pid}/cmdline")
    if arguments.exists() and b"gnomon.cli" not in arguments.read_bytes():
        return  # the number belongs to somebody else by now
    try:
        os.kill(pid, signal.SIGTERM)
    except ProcessLookupError:
        return
    print("ended the gateway of the earlier demo")
    time.sleep(0.5)


if __name__ == "__main__":
    main()
