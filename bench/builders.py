"""One class a builder: how it is told to build, push, pull and save, where its store is, and how its processes are known.

Every builder keeps its store below one folder on the same disk. `fresh` empties it: what is built after that is cold.
"""

import os
import shutil
import subprocess
import time

import measure
from measure import Command, Failed


class Builder:
    name = ""
    own = ()  # names of the executables whose memory is the builder's own
    zstd = True  # whether it pushes zstd
    layouts = True  # whether it writes a compressed OCI layout

    def __init__(self, site):
        self.site = site
        self.folder = site.folder / self.name
        self.store = None
        self.stores = 0
        self.holds = None  # the context that the store has the build of

    def start(self):
        """Makes ready what stays for all cases."""
        self.folder.mkdir(parents=True)

    def end(self):
        if self.folder.exists():
            measure.remove(self.folder)

    def daemons(self):
        return []

    def fresh(self):
        """Gives the builder an empty store."""
        self.holds = None
        if self.store:
            self.site.remove(self.store)
        self.stores += 1
        self.store = self.folder / f"store{self.stores}"
        self.store.mkdir()

    def run(self, work, watched):
        own = self.own if watched else ()
        return measure.run(work, self.site.log, own, self.daemons(), self.site.limit)

    def call(self, command):
        return measure.call(command, self.site.log, self.site.limit)

    def call_all(self, commands):
        for command in commands:
            self.call(command)

    def build(self, context, tag, *flags):
        raise NotImplementedError

    def push(self, reference):
        raise NotImplementedError

    def build_and_push(self, context, reference, zstd=False):
        """Returns the commands that build an image and push it, compressed by gzip or zstd."""
        raise NotImplementedError

    def build_to_layout(self, context, tag, folder):
        raise NotImplementedError

    def save(self, tag, archive):
        """Returns the command that writes image `tag` as a docker archive."""
        raise NotImplementedError


class Jettison(Builder):
    name = "jettison"

    def __init__(self, site, program):
        super().__init__(site)
        self.program = str(program)
        self.own = (os.path.basename(program),)

    def command(self, *arguments):
        env = {"JETTISON_ROOT": self.store, "CONTAINERS_REGISTRIES_CONF": self.site.registries_conf}
        return Command([self.program, *map(str, arguments)], env)

    def build(self, context, tag, *flags):
        return self.command("build", "--network", "host", "--progress", "plain", "-t", tag, *flags, context)

    def push(self, reference):
        return self.command("push", reference)

    def build_and_push(self, context, reference, zstd=False):
        compression = "zstd" if zstd else "gzip"
        return [self.command("build", "--network", "host", "--progress", "plain", "--output",
                             f"type=registry,name={reference},compression={compression}", context)]

    def build_to_layout(self, context, tag, folder):
        return [self.build(context, tag, "--output", f"type=oci,tar=false,dest={folder}")]

    def save(self, tag, archive):
        return self.command("save", "-o", archive, tag)


class JettisonSubordinate(Jettison):
    """Jettison as an ordinary user with 65,536 subordinate ids, in a mount namespace that has the entries of /etc for it."""

    name = "jettison-subids"
    user = 12345

    def __init__(self, site, program):
        super().__init__(site, program)
        self.holder = None

    def start(self):
        super().start()
        if not shutil.which("newuidmap"):
            raise Failed("newuidmap is not installed (package uidmap)")
        files = {"passwd": f"root:x:0:0:root:/root:/bin/sh\nbench:x:{self.user}:{self.user}::/:/bin/sh\n",
                 "subuid": "bench:1000000:65536\n", "subgid": "bench:1000000:65536\n"}
        for name, text in files.items():
            (self.folder / name).write_text(text)
        script = "".join(f"mount --bind '{self.folder}/{name}' /etc/{name} && " for name in files)
        self.holder = subprocess.Popen(["unshare", "--mount", "sh", "-c", f"{script} echo ready && exec sleep 100000"],
                                       stdout=subprocess.PIPE, stderr=self.site.log)
        if self.holder.stdout.readline() != b"ready\n":
            raise Failed("cannot give the user subordinate ids: /etc/passwd, subuid and subgid must exist")

    def end(self):
        if self.holder:
            self.holder.kill()
            self.holder.wait()
        super().end()

    def fresh(self):
        super().fresh()
        os.chown(self.store, self.user, self.user)

    def command(self, *arguments):
        command = super().command(*arguments)
        command.env["HOME"] = self.store
        command.argv = ["nsenter", f"--mount=/proc/{self.holder.pid}/ns/mnt", "setpriv", f"--reuid={self.user}",
                        f"--regid={self.user}", "--clear-groups", "--", *command.argv]
        return command


class Containers(Builder):
    """What buildah and podman have in common: containers/storage and containers/image."""

    cgroups = ()

    def __init__(self, site):
        super().__init__(site)
        self.own = (self.name, "runc", "conmon")

    def command(self, *arguments):
        env = {"CONTAINERS_REGISTRIES_CONF": self.site.registries_conf, "CONTAINERS_CONF": self.site.containers_conf,
               "TMPDIR": self.folder, "REGISTRY_AUTH_FILE": self.site.no_credentials}
        places = ["--root", self.store / "root", "--runroot", self.store / "run", "--storage-driver", "overlay"]
        return Command([self.name, *map(str, places), *self.cgroups, *map(str, arguments)], env)

    def build(self, context, tag, *flags):
        return self.command("build", "--runtime", "runc", "--layers", "--network", "host", "-t", tag, *flags, context)

    def push(self, reference, zstd=False):
        return self.command("push", *(["--compression-format", "zstd"] if zstd else []), reference)

    def build_and_push(self, context, reference, zstd=False):
        return [self.build(context, reference), self.push(reference, zstd)]

    def build_to_layout(self, context, tag, folder):
        return [self.build(context, tag), self.command("push", tag, f"oci:{folder}")]

    def save(self, tag, archive):
        return self.command("push", tag, f"docker-archive:{archive}:{tag}")


class Buildah(Containers):
    name = "buildah"


class Podman(Containers):
    name = "podman"
    cgroups = ("--cgroup-manager", "cgroupfs", "--events-backend", "none")

    def build(self, context, tag, *flags):
        command = super().build(context, tag, *flags)
        where = command.argv.index("--runtime")  # podman has it before the verb
        del command.argv[where:where + 2]
        command.argv[1:1] = ["--runtime", "runc"]
        return command


class BuildKit(Builder):
    """The BuildKit inside Debian's dockerd, with a daemon of its own that stays up: warm."""

    name = "buildkit"
    own = ("docker", "dockerd", "containerd", "containerd-shim-runc-v2", "runc")
    zstd = layouts = False
    START = 60  # seconds the daemon may take

    def __init__(self, site):
        super().__init__(site)
        self.daemon = None
        self.docker = "/usr/bin/docker" if os.path.exists("/usr/bin/docker") else "docker"  # Debian's, not a newer client

    def start(self):
        super().start()
        run = self.folder / "run"
        run.mkdir()
        (self.folder / "home").mkdir()
        flags = ["--data-root", self.folder / "data", "--exec-root", run, "--pidfile", run / "pid", "--host", self.socket(),
                 "--config-file", self.folder / "none.json", "--iptables=false", "--ip6tables=false", "--bridge=none",
                 "--ip-forward=false", "--ip-masq=false", "--storage-driver", "overlay2"]
        (self.folder / "none.json").write_text("{}")
        log = open(self.folder / "daemon.log", "wb")
        self.daemon = subprocess.Popen(["dockerd", *map(str, flags)], stdout=log, stderr=log, start_new_session=True)
        end = time.monotonic() + self.START
        while subprocess.run(self.command("version").argv, env=measure.environment(self.command()), check=False,
                             capture_output=True).returncode:
            if self.daemon.poll() is not None or time.monotonic() > end:
                raise Failed("dockerd does not start: " + (self.folder / "daemon.log").read_text()[-300:])
            time.sleep(0.2)

    def socket(self):
        return f"unix://{self.folder}/run/docker.sock"

    def daemons(self):
        return measure.descendants([self.daemon.pid])

    def end(self):
        if self.daemon:
            below = self.daemons()
            self.daemon.terminate()
            try:
                self.daemon.wait(20)
            except subprocess.TimeoutExpired:
                self.daemon.kill()
                self.daemon.wait()
                for pid in below[1:]:
                    if measure.executable(pid) in self.own:
                        os.kill(pid, 9)
        super().end()

    def fresh(self):
        self.holds = None
        for arguments in (["image", "prune", "--all", "--force"], ["builder", "prune", "--all", "--force"]):
            self.call(self.command(*arguments))

    def command(self, *arguments):
        env = {"DOCKER_BUILDKIT": 1, "HOME": self.folder / "home", "DOCKER_CONFIG": self.folder / "home"}
        return Command([self.docker, "-H", self.socket(), *map(str, arguments)], env)

    def build(self, context, tag, *flags):
        return self.command("build", "--network", "host", "--progress", "plain", "-t", tag, *flags, context)

    def push(self, reference):
        return self.command("push", reference)

    def build_and_push(self, context, reference, zstd=False):
        return [self.build(context, reference), self.push(reference)]

    def save(self, tag, archive):
        return self.command("save", "-o", archive, tag)


PEERS = {builder.name: builder for builder in (Buildah, Podman, BuildKit)}
