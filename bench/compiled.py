"""Cases a, b and c: programs compiled in one stage and copied into another, and programs that are only copied."""

import shutil
import time

import data
import images
from case import Case
from measure import shell


class Compiled(Case):
    """A program compiled in one stage and copied into an empty image; `language` knows which."""

    language = None
    state = "cold"  # "cold": empty store; "same": nothing changed; "changed": one source file did

    def prepare(self):
        self.context = self.site.folder / "cases" / type(self.language).__name__
        self.language.prepare(self.site)
        if not self.context.exists():
            self.language.write(self.context)
        if self.state == "cold":
            self.repeats, self.cold = 3, "store (bases are pulled from the registry)"
        elif self.state == "changed":
            self.repeats, self.cold = 3, "the changed file's steps"

    def warm(self, builder):
        if self.state != "cold":
            self.warm_with_context(builder)

    def before(self, builder):
        if self.state == "cold" and builder:
            builder.fresh()
        if self.state == "cold" and not builder:
            self.site.remove(self.language.root)
        if self.state == "changed":
            self.language.change(self.context, next(self.rounds))

    def work(self, builder):
        builder.holds = self.context
        return super().work(builder)

    def floor(self):
        if self.state == "same":
            return None
        pull = self.language.bare_pull() if self.state == "cold" else ":"
        return shell(f"{pull}\n{self.language.bare_compile(self.context)}", root=self.language.root)

    def expected(self):
        return {self.language.program: None}


class Go:
    """examples/go-scratch on the golang fixture, with a warm build cache in a layer of its own."""

    program = "/server"
    flags = "CGO_ENABLED=0 GOOS=linux go build -trimpath '-ldflags=-w -s' -o /server ."

    def __init__(self):
        self.base = self.root = self.urls = None

    def prepare(self, site):
        if self.base:
            return
        layout = site.fixture("docker.io/library/golang")
        source = site.checkout / "examples/go-scratch"
        site.registry.push_layout(layout, "1.21", "bench/golang-cold:1")
        # The floor compiles in this root, and what the first compilation leaves in its cache becomes the warm base's layer.
        self.root, self.site = site.folder / "golang-root", site
        urls = site.registry.layer_urls("bench/golang-cold", "1")
        site.bash(self.unpack(urls), root=self.root)
        work = self.root / "app"
        shutil.copytree(source, work)
        site.bash(self.compile(), root=self.root)
        warm = site.folder / "warm.tar"
        site.bash(f'tar -C "$root" --sort=name -cf {warm} root/.cache/go-build', root=self.root)
        self.base = site.registry.push_layout(layout, "1.21", "bench/golang:1", [warm.read_bytes()])
        warm.unlink()
        self.urls = site.registry.layer_urls("bench/golang", "1")

    def write(self, context):
        shutil.copytree(self.site.checkout / "examples/go-scratch", context)
        data.write(context / "Dockerfile", f"FROM {self.base} AS builder\nWORKDIR /app\nCOPY go.mod ./\nRUN go mod download\n"
                   f"COPY . .\nRUN {self.flags}\nFROM scratch\nCOPY --from=builder {self.program} {self.program}\n")

    def change(self, context, number):
        data.write(context / "round.go", 'package main\n\nimport "os"\n\nfunc init() {\n\tif len(os.Args) == 99 {\n\t\t'
                   f'println("round {number}")\n\t}}\n}}\n')

    def bare_pull(self):
        return self.unpack(self.urls)

    @staticmethod
    def unpack(urls):
        fetch = "".join(f'curl -sSf {url} | tee >(sha256sum >&2) | tar -xz -C "$root"; ' for url in urls)
        return f'mkdir -p "$root"; {fetch}'

    def compile(self):
        # HOME is where the base has its warm cache; the null device is all of /dev that go needs.
        device = '[ -e "$root/dev/null" ] || { mkdir -p "$root/dev"; mknod -m 666 "$root/dev/null" c 1 3; }'
        return f'{device}; chroot "$root" /usr/bin/env -i HOME=/root GOROOT=/usr/local/go GOTOOLCHAIN=local PATH={images.PATH} /bin/sh -c "cd /app && {self.flags}"'

    def bare_compile(self, context):
        return f'rm -rf "$root/app"; cp -a {context} "$root/app"; {self.compile()}; sha256sum "$root/server"'


class C:
    """examples/hello-c on the project's own base of packages: for machines without the golang fixture."""

    program = "/hello"
    flags = "gcc -Os -static -s -o /hello hello.c"

    def __init__(self):
        self.base = self.root = self.urls = None

    def prepare(self, site):
        if self.base:
            return
        self.site, self.root = site, site.folder / "gcc-root"
        layout = site.folder / "gcc-base"
        site.bash(f"{site.checkout}/scripts/make-builder-base {layout}")
        self.base = site.registry.push_layout(layout, "latest", "bench/gcc:1")
        self.urls = site.registry.layer_urls("bench/gcc", "1")
        site.bash(self.bare_pull(), root=self.root)

    def write(self, context):
        shutil.copytree(self.site.checkout / "examples/hello-c", context)
        data.write(context / "Dockerfile", f"FROM {self.base} AS builder\nWORKDIR /src\nCOPY hello.c .\nRUN {self.flags}\n"
                   "FROM scratch\nCOPY --from=builder /hello /hello\n")

    def change(self, context, number):
        with open(context / "hello.c", "a", encoding="ascii") as file:
            file.write(f'const char round_{number}[] = "round {number}";\n')

    def bare_pull(self):
        fetch = "".join(f'curl -sSf {url} | tee >(sha256sum >&2) | tar -x -C "$root"; ' for url in self.urls)
        return f'mkdir -p "$root"; {fetch}'

    def bare_compile(self, context):
        return (f'rm -rf "$root/src"; cp -a {context} "$root/src"; chroot "$root" /bin/sh -c '
                f'"PATH={images.PATH}; cd /src && {self.flags}"; sha256sum "$root/hello"')


class CopyOnly(Case):
    """One program of 5 MB copied onto `base`: "scratch", or a fixture."""

    base = "scratch"
    state = "cold"

    def prepare(self):
        self.context.mkdir(parents=True)
        data.half_random(self.context / "app", 5_000_000, 1, data.text())
        # A file that was written a moment ago may change again without another time, so builders do not trust its times.
        time.sleep(3)
        base = self.base
        if base != "scratch":
            tag = self.site.registry.push_layout(self.site.fixture(base), "latest", "bench/distroless:1")
            base = tag
        self.dockerfile(f"FROM {base}", "COPY app /app")
        if self.state == "cold":
            self.cold = "store"

    def warm(self, builder):
        if self.state == "same":
            self.warm_with_context(builder)

    def before(self, builder):
        if self.state == "cold" and builder:
            builder.fresh()

    def floor(self):
        if self.state == "same":
            return None
        return self.scratch(f"cp {self.context}/app .; sha256sum app")

    def expected(self):
        return {"/app": data.sha256(self.context / "app")}
