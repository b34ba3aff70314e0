"""Runs commands and measures them: wall time, CPU time, and the peak memory of the builder's own processes.

Memory is read from /proc while the commands run. A process counts as the builder's own by the name of its executable; all
others below it (what RUN started) do not count. CPU time is that of all processes, what RUN did included: it is the
kernel's account of the commands and their descendants (wait4), plus what daemons used meanwhile.
"""

import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

TICK = os.sysconf("SC_CLK_TCK")
FIRST_PAUSE, LONGEST_PAUSE = 0.001, 0.025  # seconds between two looks at memory: short runs are looked at often
sys.setswitchinterval(0.0005)  # so that the watching thread does not delay the clock


class Failed(Exception):
    """A command failed, took too long, or built the wrong thing."""


@dataclass
class Command:
    argv: list
    env: dict = field(default_factory=dict)


@dataclass
class Work:
    """Commands that are measured as one, one after the other or all at once."""

    commands: list
    together: bool = False


@dataclass
class Sample:
    wall: float  # seconds
    cpu: float  # seconds
    memory: int | None  # bytes, of the builder's own processes and daemons; None where nobody looked


def shell(script, **env):
    """Work of the bare floor: a script of bash."""
    return Work([Command(["bash", "-euo", "pipefail", "-c", script], env)])


def run(work, log, own=(), daemons=(), limit=600):
    """Runs `work` and measures it; `own` are names of the builder's executables, `daemons` IDs of its daemons. Memory is
    looked at only if there is something `own`: looking takes a short command half as long again."""
    for pid in daemons:
        reset_peak(pid)
    watch = Watch(own, daemons)
    used_before = sum(cpu_of(pid) for pid in daemons)
    deadline = time.monotonic() + limit
    start = time.perf_counter()
    cpu = 0.0
    try:
        for batch in [work.commands] if work.together else [[command] for command in work.commands]:
            running = [watch.start(command, log) for command in batch]
            cpu += sum(finish(process, deadline, log) for process in running)
        wall = time.perf_counter() - start
    finally:
        watch.end()
    cpu += sum(cpu_of(pid) for pid in daemons) - used_before
    return Sample(wall, cpu, watch.memory() if own else None)


def call(command, log, limit=600):
    """Runs one command that is not measured, and returns its standard output."""
    log.flush()
    try:
        done = subprocess.run(command.argv, env=environment(command), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=log, timeout=limit, check=False)
    except subprocess.TimeoutExpired as late:
        raise Failed(f"{command.argv[0]} took more than {limit} s") from late
    if done.returncode:
        raise Failed(f"{' '.join(command.argv[:3])} … ended with {done.returncode}: {tail(log)}")
    return done.stdout


def environment(command):
    return {**os.environ, "LC_ALL": "C", **{name: str(value) for name, value in command.env.items()}}


def finish(process, deadline, log):
    """Waits for a process; returns its CPU seconds, those of its descendants included."""
    timer = threading.Timer(max(0.1, deadline - time.monotonic()), os.killpg, (process.pid, signal.SIGKILL))
    timer.start()
    try:
        _, status, usage = os.wait4(process.pid, 0)
    except BaseException:
        os.killpg(process.pid, signal.SIGKILL)
        os.waitpid(process.pid, 0)
        raise
    finally:
        timer.cancel()
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode == -signal.SIGKILL:
        raise Failed("killed: it took too long or too much memory")
    if process.returncode:
        raise Failed(f"{Path(process.args[0]).name} ended with {process.returncode}: {tail(log)}")
    return usage.ru_utime + usage.ru_stime


def tail(log):
    log.flush()
    text = Path(log.name).read_text(errors="replace").strip().splitlines()
    return " / ".join(line.strip()[:160] for line in text[-2:])


class Watch:
    """Looks at the memory of processes and their descendants, from a thread of its own, until it is ended."""

    def __init__(self, own, daemons):
        self.own, self.daemons, self.roots = set(own), list(daemons), list(daemons)
        self.highest = {}  # process ID -> peak resident bytes, of own processes
        self.together = 0
        self.stop = threading.Event()
        self.thread = None

    def start(self, command, log):
        process = subprocess.Popen(command.argv, env=environment(command), stdin=subprocess.DEVNULL, stdout=log,
                                   stderr=log, start_new_session=True)
        self.roots.append(process.pid)
        if self.thread is None and self.own:
            self.thread = threading.Thread(target=self.loop, daemon=True)
            self.thread.start()
        return process

    def loop(self):
        pause = FIRST_PAUSE
        while not self.stop.wait(pause):
            self.look()
            pause = min(pause * 1.15, LONGEST_PAUSE)

    def look(self):
        own = 0
        for pid in descendants(self.roots):
            if executable(pid) not in self.own:
                continue
            own += proportional(pid)
            self.highest[pid] = max(self.highest.get(pid, 0), peak(pid))
        self.together = max(self.together, own)

    def end(self):
        self.stop.set()
        if self.thread:
            self.thread.join()
        for pid in self.daemons:
            self.highest[pid] = max(self.highest.get(pid, 0), peak(pid))

    def memory(self):
        """The largest sum of shares seen at one time, or where that is more, of one process (daemons: of all)."""
        standing = sum(self.highest[pid] for pid in self.daemons)
        clients = max((size for pid, size in self.highest.items() if pid not in self.daemons), default=0)
        return max(self.together, standing + clients)


def descendants(roots):
    found, waiting = [], list(roots)
    while waiting:
        pid = waiting.pop()
        if pid in found:
            continue
        found.append(pid)
        try:
            for task in os.listdir(f"/proc/{pid}/task"):
                waiting += map(int, Path(f"/proc/{pid}/task/{task}/children").read_text().split())
        except OSError:
            pass  # it has ended
    return found


def executable(pid):
    try:
        return os.path.basename(os.readlink(f"/proc/{pid}/exe"))
    except OSError:
        return ""


def field_of(path, name):
    """A figure in kB of a file of /proc, in bytes; 0 where the process has ended."""
    try:
        for line in Path(path).read_text().splitlines():
            if line.startswith(name):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return 0


def proportional(pid):
    return field_of(f"/proc/{pid}/smaps_rollup", "Pss:")


def peak(pid):
    return field_of(f"/proc/{pid}/status", "VmHWM:")


def reset_peak(pid):
    Path(f"/proc/{pid}/clear_refs").write_text("5")  # proc(5): resets VmHWM


def cpu_of(pid):
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return sum(map(int, fields[11:15])) / TICK  # user and system time, own and of children waited for


def unmount_below(folder):
    """Undoes every mount below `folder`, the newest first."""
    mounts = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    for mount in reversed(mounts):
        if mount.startswith(f"{folder}/"):
            subprocess.run(["umount", "--lazy", mount], check=False)


def remove(folder):
    """Removes a folder that may hold mounts and files of other users."""
    unmount_below(folder)
    subprocess.run(["rm", "-rf", "--one-file-system", str(folder)], check=False)


def put_away(folder, trash):
    """Moves a folder into `trash` and frees the disk of its large files.

    ext4 looks past every inode that was removed in the last minutes before it makes one: after the removal of a store of many
    files, each new file takes a millisecond. That would be measured in place of the next builder.
    """
    unmount_below(folder)
    if folder.exists():
        trash.mkdir(exist_ok=True)
        folder.rename(trash / str(time.monotonic_ns()))
        large = ["find", str(trash), "-xdev", "-type", "f", "-size", "+1M", "-links", "1", "-exec", "truncate", "--size=0", "{}", "+"]
        subprocess.run(large, check=False)
