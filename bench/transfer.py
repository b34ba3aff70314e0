"""Case g: the registry."""

import data
import images
from case import Case
from measure import Failed, Work


class Transfer(Case):
    """A layer of 500 MB: built and pushed for the first time, pushed again, pulled into an empty store and run on."""

    verb = "push"
    zstd = False
    repeats = 3
    shared = {}

    def prepare(self):
        self.site.targets.wipe()
        if not self.shared.get("context"):
            data.large_files(self.context / "files", 10, 50_000_000)
            self.dockerfile(f"FROM {self.site.busybox}", "COPY files /files")
            self.shared["context"] = self.context
        self.context = self.shared["context"]
        if self.verb == "pull":
            tar = self.folder / "layer.tar"
            self.site.bash(f"tar -C {self.context} -cf {tar} files")
            self.pulled = self.site.registry.push_image("bench/large:1", images.configuration(), [],
                                                        [images.busybox_layer(), tar.read_bytes()])
            tar.unlink()
            self.dockerfile_of_pull()
        self.cold = {"push": "store and registry", "again": "nothing", "pull": "store"}[self.verb]

    def reference(self, builder):
        return f"{self.site.targets.host}/bench/{builder.name}:{self.name}"

    def dockerfile_of_pull(self):
        self.context = self.folder / "context"
        self.dockerfile(f"FROM {self.pulled}", "RUN ls /files >/list")

    def warm(self, builder):
        if self.zstd and not builder.zstd:
            raise Failed("cannot push zstd")
        builder.fresh()
        if self.verb == "again":
            builder.call_all(builder.build_and_push(self.context, self.reference(builder)))

    def before(self, builder):
        if self.verb != "again" and builder:
            builder.fresh()
        if self.verb == "push":
            self.site.targets.wipe()

    def work(self, builder):
        if self.verb == "again":
            return Work([builder.push(self.reference(builder))])
        if self.verb == "push":
            return Work(builder.build_and_push(self.context, self.reference(builder), self.zstd))
        return super().work(builder)

    def floor(self):
        if self.verb == "again":
            return None
        if self.verb == "pull":
            url = self.site.registry.layer_urls("bench/large", "1")[-1]
            return self.scratch(f"curl -sSf {url} | tee >(sha256sum >&2) | gzip -dc | tee >(sha256sum >&2) | tar -x")
        pack = "zstd -q -3 -T0" if self.zstd else self.site.gzip
        host = self.site.targets.host
        upload = (f"where=$(curl -sSf -X POST -D - -o /dev/null http://{host}/v2/bench/floor/blobs/uploads/ | tr -d '\\r' | "
                  "sed -n 's/^Location: //p'); curl -sSf -X PUT -H 'Content-Type: application/octet-stream' -T layer "
                  '"$where&digest=sha256:$(cut -d" " -f1 digest)"')
        return self.scratch(f"tar -C {self.context} -cf - files | tee >(sha256sum >diff-id) | {pack} | tee layer | "
                            f"sha256sum >digest; {upload}")

    def check(self, builder):
        if self.verb == "pull":
            return super().check(builder)
        layers = self.site.targets.manifest(f"bench/{builder.name}", self.name)["layers"]
        kind = layers[-1]["mediaType"]
        if self.zstd != kind.endswith("zstd"):
            raise Failed(f"wrong image: the layer pushed is {kind}")
        return None

    def wanted(self, path):
        return path in ("/list", "/files/large3")

    def expected(self):
        return {"/list": None, "/files/large3": data.sha256(self.shared["context"] / "files/large3")}
