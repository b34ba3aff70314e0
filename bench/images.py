"""OCI images made, pushed, fetched and looked into by the bench itself, so that no builder prepares what others are
measured with, and none judges its own work."""

import gzip
import hashlib
import io
import json
import os
import shutil
import socket
import subprocess
import tarfile
import time
import urllib.request
from pathlib import Path

from measure import Failed

OCI = "application/vnd.oci.image"
PATH = "/usr/local/go/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class Registry:
    """Debian's docker-registry on a loopback port of its own."""

    def __init__(self, folder, log):
        self.storage, self.process = folder / "storage", None
        folder.mkdir(parents=True)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.host = f"127.0.0.1:{free.getsockname()[1]}"
        config = folder / "config.yml"
        config.write_text(f"version: 0.1\nlog: {{level: warn}}\nstorage:\n  filesystem: {{rootdirectory: {self.storage}}}\n"
                          f"http: {{addr: '{self.host}'}}\n")
        self.process = subprocess.Popen(["docker-registry", "serve", config], stdout=log, stderr=log, start_new_session=True)
        end = time.monotonic() + 20
        while True:
            try:
                urllib.request.urlopen(f"http://{self.host}/v2/", timeout=2).close()
                break
            except OSError as error:
                if self.process.poll() is not None or time.monotonic() > end:
                    self.end()
                    raise Failed("docker-registry does not start") from error
                time.sleep(0.1)
        # The answer must come from our own process, not from somebody who took the port before it.
        if self.process.poll() is not None:
            raise Failed("another process took the port of docker-registry")

    def end(self):
        if self.process and self.process.poll() is None:
            self.process.terminate()
            self.process.wait()

    def wipe(self):
        """Forgets every image: what is pushed after that is pushed for the first time."""
        shutil.rmtree(self.storage / "docker", ignore_errors=True)

    def request(self, method, path, data=None, headers=None, where=None):
        url = where or f"http://{self.host}{path}"
        asked = urllib.request.Request(url, data=data, method=method, headers=headers or {})
        with urllib.request.urlopen(asked, timeout=120) as answer:
            return answer.read(), answer.headers

    def put_blob(self, repository, content):
        _, headers = self.request("POST", f"/v2/{repository}/blobs/uploads/", b"")
        where = headers["Location"]
        where += ("&" if "?" in where else "?") + f"digest={digest(content)}"
        self.request("PUT", "", content, {"Content-Type": "application/octet-stream"}, where)

    def put_manifest(self, repository, tag, manifest, kind):
        self.request("PUT", f"/v2/{repository}/manifests/{tag}", manifest, {"Content-Type": kind})

    def manifest(self, repository, tag):
        kinds = f"{OCI}.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json, {OCI}.index.v1+json"
        manifest = json.loads(self.request("GET", f"/v2/{repository}/manifests/{tag}", headers={"Accept": kinds})[0])
        if "manifests" in manifest:
            return self.manifest(repository, manifest["manifests"][0]["digest"])
        return manifest

    def layer_urls(self, repository, tag):
        layers = self.manifest(repository, tag)["layers"]
        return [f"http://{self.host}/v2/{repository}/blobs/{layer['digest']}" for layer in layers]

    def push_layout(self, layout, tag, reference, more_layers=()):
        """Pushes image `tag` of an OCI layout, with more gzip layers on top, as `repository:tag`; returns its name."""
        blob = lambda name: (Path(layout) / "blobs/sha256" / name.removeprefix("sha256:")).read_bytes()
        index = json.loads((Path(layout) / "index.json").read_text())
        found = [entry for entry in index["manifests"]
                 if entry.get("annotations", {}).get("org.opencontainers.image.ref.name") == tag]
        if not found:
            raise Failed(f"{layout} has no image {tag}")
        manifest = json.loads(blob(found[0]["digest"]))
        config = json.loads(blob(manifest["config"]["digest"]))
        layers = [(layer["mediaType"], blob(layer["digest"])) for layer in manifest["layers"]]
        return self.push_image(reference, config, layers, more_layers)

    def push_image(self, reference, config, layers, more_layers=()):
        """Pushes layers of (media type, bytes) and more layers, which are tars, as `repository:tag`; returns its name."""
        repository, tag = reference.rsplit(":", 1)
        config.setdefault("rootfs", {"type": "layers", "diff_ids": []})
        layers = list(layers)
        for tar in more_layers:
            config["rootfs"]["diff_ids"].append(digest(tar))
            layers.append((f"{OCI}.layer.v1.tar+gzip", gzip.compress(tar, 6, mtime=0)))
        config["history"] = [{"created_by": "bench"}] * len(layers)  # buildah wants an entry for each layer
        config_bytes = json.dumps(config).encode()
        for content in [config_bytes, *(content for _, content in layers)]:
            self.put_blob(repository, content)
        describe = lambda kind, content: {"mediaType": kind, "digest": digest(content), "size": len(content)}
        kind = f"{OCI}.manifest.v1+json"
        manifest = {"schemaVersion": 2, "mediaType": kind, "config": describe(f"{OCI}.config.v1+json", config_bytes),
                    "layers": [describe(*layer) for layer in layers]}
        self.put_manifest(repository, tag, json.dumps(manifest).encode(), kind)
        return f"{self.host}/{reference}"


def digest(content):
    return "sha256:" + hashlib.sha256(content).hexdigest()


def configuration():
    return {"architecture": {"x86_64": "amd64", "aarch64": "arm64"}[os.uname().machine], "os": "linux",
            "config": {"Env": [f"PATH={PATH}"], "Cmd": ["sh"]}}


def busybox_layer(program="/bin/busybox"):
    """The tar of a root with one static busybox under the names of its applets."""
    content = Path(program).read_bytes()
    names = subprocess.run([program, "--list"], capture_output=True, text=True, check=True).stdout.split()
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, mode in (("bin", 0o755), ("etc", 0o755), ("root", 0o700), ("tmp", 0o1777)):
            entry = tarfile.TarInfo(name)
            entry.type, entry.mode = tarfile.DIRTYPE, mode
            tar.addfile(entry)
        entry = tarfile.TarInfo("bin/busybox")
        entry.size, entry.mode = len(content), 0o755
        tar.addfile(entry, io.BytesIO(content))
        for name in sorted(set(names) - {"busybox"}):
            entry = tarfile.TarInfo(f"bin/{name}")
            entry.type, entry.linkname = tarfile.SYMTYPE, "busybox"
            tar.addfile(entry)
        entry, passwd = tarfile.TarInfo("etc/passwd"), b"root:x:0:0:root:/root:/bin/sh\n"
        entry.size = len(passwd)
        tar.addfile(entry, io.BytesIO(passwd))
    return buffer.getvalue()


def files_of_archive(archive, wanted):
    """SHA-256 by path of the files in a docker archive for which `wanted(path)` holds."""
    with tarfile.open(archive) as outer:
        manifest = json.load(outer.extractfile("manifest.json"))[0]
        found = {}
        for layer in manifest["Layers"]:
            found.update(files_of_layer(outer.extractfile(layer), wanted))
        return found


def files_of_layout(layout, wanted):
    index = json.loads((layout / "index.json").read_text())
    blob = lambda name: layout / "blobs/sha256" / name.removeprefix("sha256:")
    manifest = json.loads(blob(index["manifests"][-1]["digest"]).read_text())
    found = {}
    for layer in manifest["layers"]:
        with open(blob(layer["digest"]), "rb") as file:
            found.update(files_of_layer(file, wanted))
    return found


def files_of_layer(file, wanted):
    found = {}
    with tarfile.open(fileobj=file, mode="r:*") as tar:
        for entry in tar:
            path = "/" + entry.name.removeprefix("./").strip("/")
            if entry.isfile() and wanted(path):
                found[path] = hashlib.file_digest(tar.extractfile(entry), "sha256").hexdigest()
    return found
