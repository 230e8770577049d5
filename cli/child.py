"""Runs a command that ends with its parent: `python -m cli.child PARENT_PID SIGNAL UID GID COMMAND…`.

However the parent ends, even by SIGKILL, the kernel sends SIGNAL to the command (Linux; elsewhere the next start cleans up).
A UID of -1 keeps the account; another one is taken on first, because a change of account forgets the signal.
"""

import ctypes
import os
import sys

PR_SET_PDEATHSIG = 1


def command(argv: list[str], *, death_signal: int, uid: int = -1, gid: int = -1) -> list[str]:
    """The command line that runs `argv` this way as a child of the calling process, started from its main thread."""
    return [sys.executable, "-m", "cli.child", str(os.getpid()), str(death_signal), str(uid), str(gid), *argv]


def main() -> None:
    parent_pid, death_signal, uid, gid = (int(argument) for argument in sys.argv[1:5])
    if uid != -1:
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, death_signal)
        if os.getppid() != parent_pid:  # it ended before the kernel was told
            sys.exit(1)
    os.execv(sys.argv[5], sys.argv[5:])  # noqa: S606 (the parent chose the command)


if __name__ == "__main__":
    main()
