"""A command in, its exit code out; the command's whole process group ends when our standard input closes.

The parent holds the other end of that pipe, so the kernel closes it however the parent dies, SIGKILL included: work
in a task's process never outlives its task. With `--outlive` it does, where the parent is gone without a word: then only
a byte on standard input ends it, and it gets the time to save. Run as a script with nothing but the standard library.
"""

import os
import signal
import subprocess
import sys
import threading

OUTLIVE = "--outlive"
GRACE_S = 3.0
"""Between SIGTERM and SIGKILL; Airflow kills a task five seconds after it asked it to end."""
SAVING_S = 120.0
"""The same for a command that outlives its task and saves when it is told to end; we are in no session of Airflow's."""


def run(command: list[str], outlives: bool = False) -> int:
    """Runs the command in a process group of its own and waits for it; 128 + the signal where one ended it."""
    grace_s = SAVING_S if outlives else GRACE_S
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, process_group=0)

    def end(*_: object) -> None:
        _signal_group(child.pid, signal.SIGTERM)
        killer = threading.Timer(grace_s, _signal_group, (child.pid, signal.SIGKILL))
        killer.daemon = True
        killer.start()

    def end_when_told_or_parent_is_gone() -> None:
        if not os.read(0, 1) and outlives:
            os._exit(0)  # nobody waits for us any more
        end()

    # Handlers, not SIG_IGN: what is ignored would stay ignored in the command.
    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    threading.Thread(target=end_when_told_or_parent_is_gone, daemon=True).start()
    code = child.wait()
    _signal_group(child.pid, signal.SIGKILL)
    return code if code >= 0 else 128 - code


def _signal_group(group: int, number: signal.Signals) -> None:
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        return


if __name__ == "__main__":
    outlives = sys.argv[1] == OUTLIVE
    sys.exit(run(sys.argv[2:] if outlives else sys.argv[1:], outlives))
