"""A command in, its exit code out; the command's whole process group ends when our standard input closes.

The parent holds the other end of that pipe, so the kernel closes it however the parent dies, SIGKILL included: work
in a task's process never outlives its task. Run as a script with nothing but the standard library.
"""

import os
import signal
import subprocess
import sys
import threading

GRACE_S = 3.0
"""Between SIGTERM and SIGKILL; Airflow kills a task five seconds after it asked it to end."""


def run(command: list[str]) -> int:
    """Runs the command in a process group of its own and waits for it; 128 + the signal where one ended it."""
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, process_group=0)

    def end(*_: object) -> None:
        _signal_group(child.pid, signal.SIGTERM)
        killer = threading.Timer(GRACE_S, _signal_group, (child.pid, signal.SIGKILL))
        killer.daemon = True
        killer.start()

    def end_when_parent_is_gone() -> None:
        while os.read(0, 1):
            pass
        end()

    # Handlers, not SIG_IGN: what is ignored would stay ignored in the command.
    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    threading.Thread(target=end_when_parent_is_gone, daemon=True).start()
    code = child.wait()
    _signal_group(child.pid, signal.SIGKILL)
    return code if code >= 0 else 128 - code


def _signal_group(group: int, number: signal.Signals) -> None:
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        return


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
