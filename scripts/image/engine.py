"""buildah and podman with a store of their own, without a daemon or a registry; and how a check reports."""

import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

REPO = Path(__file__).resolve().parent.parent.parent
IMAGE = "localhost/idv-gateway"
MIB = 1024 * 1024
MEMORY_LIMIT = 64 * MIB
# As restricted as possible. The engine's own limits for files and processes may be more than this machine allows.
CONFINED = ["--network", "host", "--ulimit", "nofile=4096:4096", "--ulimit", "nproc=4096:4096"]
CONFINED += ["--memory", str(MEMORY_LIMIT), "--memory-swap", str(MEMORY_LIMIT), "--cpus", "0.5"]
CONFINED += ["--read-only", "--read-only-tmpfs=false", "--cap-drop", "ALL", "--security-opt", "no-new-privileges"]


def say(text):
    print(f"== {text}", flush=True)


def expect(condition, text):
    if not condition:
        raise SystemExit(f"FAILED: {text}")
    print(f"ok: {text}", flush=True)


def install(packages):
    """Installs Debian packages, each named like its tool, without starting their services."""
    missing = [package for package in packages if not shutil.which(package)]
    if missing:
        subprocess.run([REPO / "scripts/install-debian", *missing], check=True)


class Engine:
    """A store in a temporary folder, and the containers started from it."""

    def __init__(self):
        self.work = tempfile.mkdtemp(prefix="check-image-")
        self.containers = []
        # Layers on top of each other where the kernel does that, else whole copies (12 GB of them).
        self.store = self.kept_by("overlay")
        if self.podman("info", check=False).returncode != 0:
            self.store = self.kept_by("vfs")

    def kept_by(self, driver):
        folder = f"{self.work}/{driver}"
        return ["--storage-driver", driver, "--root", folder, "--runroot", f"{folder}-run"]

    def podman(self, *args, check=True):
        command = ["podman", *self.store, "--tmpdir", f"{self.work}/tmp", "--cgroup-manager", "cgroupfs"]
        # There may be no systemd whose timers would run health checks: they are run here.
        env = {**os.environ, "DISABLE_HC_SYSTEMD": "true"}
        done = subprocess.run([*command, "--runtime", "runc", *args], env=env, capture_output=True, text=True)
        if check and done.returncode != 0:
            raise SystemExit(f"podman {' '.join(args)}: {done.stderr}")
        return done

    def inspect(self, name, field):
        return self.podman("inspect", "--format", "{{" + field + "}}", name).stdout.strip()

    def make_base(self, name, suite):
        """Makes a Debian with a linker, under the name of the Dockerfile's base image."""
        sources = [Path("/etc/apt/sources.list"), Path("/etc/apt/sources.list.d/debian.sources")]
        sources = [str(path) for path in sources if path.exists()]
        base = f"{self.work}/base.tar"
        command = ["mmdebstrap", "--quiet", "--mode=root", "--variant=minbase"]
        command += ["--include=ca-certificates,gcc,libc6-dev", suite, base, *sources]
        subprocess.run(command, check=True)
        path = "PATH=/usr/local/rust/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        env = ["--change", f"ENV {path}", "--change", "ENV CARGO_HOME=/usr/local/cargo"]
        self.podman("import", "--quiet", *env, base, f"localhost/{name}")
        Path(base).unlink()

    def build(self, context, version, revision, toolchain):
        """Builds an image tagged by its revision, and returns the build's output. The compiler, which the real base has
        inside, is mounted, and so are this machine's certificates and cargo settings, for its access to the registry."""
        cargo_home = Path(os.environ.get("CARGO_HOME") or Path.home() / ".cargo")
        mounts = [(toolchain, "/usr/local/rust"), ("/etc/ssl/certs", "/etc/ssl/certs")]
        settings = cargo_home / "config.toml"
        mounts += [(settings, "/usr/local/cargo/config.toml")] if settings.exists() else []
        command = ["buildah", *self.store, "bud", "--isolation=chroot", "--pull-never", "--layers", "--format", "docker"]
        for here, there in mounts:
            command += ["--volume", f"{here}:{there}:ro"]
        command += ["--build-arg", f"IDV_VERSION={version}", "--build-arg", f"IDV_REVISION={revision}"]
        command += ["--tag", f"{IMAGE}:{revision}", str(context)]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if done.returncode != 0:
            raise SystemExit(f"{' '.join(command)}:\n{done.stdout}")
        return done.stdout

    def start(self, image, *args, options=()):
        """Starts a container and returns its name."""
        name = self.podman("run", "--detach", *CONFINED, *options, image, *args).stdout.strip()
        self.containers.append(name)
        return name

    def close(self):
        """Stops what was started, unmounts what it left mounted, and removes the store. The engine's last helper may still
        be writing there, so one attempt may not be enough."""
        for name in self.containers:
            self.podman("rm", "--force", "--time", "2", name, check=False)
        mounts = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
        for mount in sorted((m for m in mounts if m.startswith(f"{self.work}/")), reverse=True):
            subprocess.run(["umount", mount], check=False)
        for _ in range(20):
            shutil.rmtree(self.work, ignore_errors=True)
            if not Path(self.work).exists():
                return
            time.sleep(0.5)
        raise SystemExit(f"{self.work} cannot be removed")
