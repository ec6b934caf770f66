"""The whole line once: starts `xmdpt-serve all`, sends a photo and a pose over HTTP, writes the picture, stops all.

It needs the serving set alone: no torch, no Docker, no Redis, no GPU, no root.
"""

import argparse
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import uuid
from contextlib import ExitStack
from io import BytesIO
from pathlib import Path

from PIL import Image, ImageDraw, ImageOps

START_SECONDS = 60
JOB_SECONDS = 600
BAR_WIDTH = 32


def main() -> int:
    """Run the demo; returns the exit status."""
    arguments = parse_arguments()
    for path in (arguments.source, arguments.pose):
        if not path.is_file():
            print(f"demo: {path}: no such file", file=sys.stderr)
            return 2
    if not arguments.out.parent.is_dir():
        print(f"demo: {arguments.out.parent}: no such folder", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory(prefix="xmdpt-demo-") as folder:
        port, ops_port = free_ports(2)
        log_path = Path(folder) / "serve.log"
        print(f"starting   gateway, worker and queue on 127.0.0.1:{port}")
        started = time.monotonic()
        with log_path.open("w") as log:
            server = start_server(port, ops_port, Path(folder) / "data", log)
            try:
                for name, answering_port in (("gateway", port), ("worker", ops_port)):
                    wait_until_ready(server, name, answering_port, log_path)
                print(f"ready      after {time.monotonic() - started:.1f} s")
                run(arguments, f"http://127.0.0.1:{port}")
            except DemoError as error:
                print(f"demo: {error}", file=sys.stderr)
                return 1
            finally:
                stop_server(server)
    print("stopped    every process has ended")
    return 0


class DemoError(Exception):
    """What went wrong, for a person to read."""


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    here = Path(__file__).parent
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--source", type=Path, default=here / "person.png", help="photo of a person (PNG, JPEG, WebP)")
    parser.add_argument("--pose", type=Path, default=here / "pose.json", help="18 key points (.json) or a skeleton")
    parser.add_argument("--out", type=Path, default=Path("demo.png"), help="where the picture goes")
    parser.add_argument("--steps", type=int, default=50, help="denoising steps, 2 to 250")
    parser.add_argument("--seed", type=int, default=42, help="decides the initial noise")
    return parser.parse_args()


def start_server(port: int, ops_port: int, data_dir: Path, log) -> subprocess.Popen:
    """`xmdpt-serve all` with an embedded queue, in a process group of its own."""
    root = Path(__file__).resolve().parent.parent
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("XMDPT_", "REDIS_URL"))}
    environment |= {
        "XMDPT_GATEWAY__PORT": str(port),
        "XMDPT_WORKER__OPS_PORT": str(ops_port),
        "XMDPT_DATA_DIR": str(data_dir),
        "XMDPT_MODEL_REPOSITORY": str(root / "model_repository"),
        "XMDPT_LOG_FORMAT": "json",
    }
    command = [sys.executable, "-m", "service", "all"]
    return subprocess.Popen(command, env=environment, cwd=root, stdout=log, stderr=log, start_new_session=True)


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on at this moment."""
    with ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]


def wait_until_ready(server: subprocess.Popen, name: str, port: int, log_path: Path) -> None:
    """Until this process says that it is ready; the log's end explains a failure."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and server.poll() is None:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=2):
                return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.05)
    tail = "\n".join(log_path.read_text().splitlines()[-15:])
    raise DemoError(f"the {name} did not get ready; the end of its log:\n{tail}")


def stop_server(server: subprocess.Popen) -> None:
    """SIGTERM, and only if that is not enough SIGKILL, for the whole group."""
    server.send_signal(signal.SIGTERM)
    try:
        server.wait(timeout=40)
    except subprocess.TimeoutExpired:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()


def run(arguments: argparse.Namespace, base_url: str) -> None:
    """Send the request, watch the job, write the two pictures, print the timings."""
    job = submit(arguments, base_url)
    print(f"accepted   {job['id']}, seed {job['request']['seed']}, {job['request']['steps']} steps")
    job = watch(job, base_url)
    picture = call(base_url + job["outputs"][0]["url"])
    in_proportion(Image.open(BytesIO(picture)), arguments.source).save(arguments.out)
    sheet_path = arguments.out.with_name(f"{arguments.out.stem}_sheet.png")
    sheet(arguments.source, arguments.pose, arguments.out).save(sheet_path)
    print_timings(job["timings_ms"])
    print(f"wrote      {arguments.out} and {sheet_path} (source | pose | result)")
    model = json.loads(call(base_url + "/v1/models"))["data"][0]
    if not model["is_trained"]:
        print(f"note       the model '{model['name']}' has untrained weights: this picture is noise by design")


def submit(arguments: argparse.Namespace, base_url: str) -> dict:
    """POST /generate as multipart, without waiting for the picture."""
    boundary = uuid.uuid4().hex
    is_key_points = arguments.pose.suffix == ".json"
    pose_type = "application/json" if is_key_points else "application/octet-stream"
    body = b"".join(
        [
            part(boundary, f'name="source"; filename="{arguments.source.name}"', arguments.source.read_bytes()),
            part(boundary, f'name="pose"; filename="{arguments.pose.name}"', arguments.pose.read_bytes(), pose_type),
            part(boundary, 'name="steps"', str(arguments.steps).encode(), None),
            part(boundary, 'name="seed"', str(arguments.seed).encode(), None),
            f"--{boundary}--\r\n".encode(),
        ]
    )
    headers = {"Content-Type": f"multipart/form-data; boundary={boundary}", "Prefer": "respond-async"}
    return json.loads(call(base_url + "/generate", body, headers))


def part(boundary: str, disposition: str, content: bytes, media_type: str | None = "application/octet-stream") -> bytes:
    """One part of a multipart body."""
    type_line = f"Content-Type: {media_type}\r\n" if media_type else ""
    head = f"--{boundary}\r\nContent-Disposition: form-data; {disposition}\r\n{type_line}\r\n"
    return head.encode() + content + b"\r\n"


def watch(job: dict, base_url: str) -> dict:
    """Poll the job and draw a bar until it has ended."""
    deadline = time.monotonic() + JOB_SECONDS
    while job["status"] not in ("succeeded", "failed"):
        if time.monotonic() > deadline:
            raise DemoError(f"{job['id']} is still {job['status']} after {JOB_SECONDS} s")
        draw_bar(job)
        time.sleep(0.1)
        job = json.loads(call(base_url + job["urls"]["self"]))
    draw_bar(job)
    print()
    if job["status"] == "failed":
        raise DemoError(f"the job failed: {job['error']['code']}: {job['error']['detail']}")
    return job


def draw_bar(job: dict) -> None:
    """One line, redrawn in place on a terminal."""
    progress = job["progress"]
    ratio = 1.0 if job["status"] == "succeeded" else progress["ratio"]
    filled = round(BAR_WIDTH * ratio)
    stage = "done" if job["status"] == "succeeded" else progress["stage"] or job["status"]
    step = progress["steps"] if job["status"] == "succeeded" else progress["step"]
    bar = "#" * filled + "." * (BAR_WIDTH - filled)
    print(f"\rdenoising  [{bar}] {step:3d}/{progress['steps']} {stage:16s}", end="", flush=True)


def print_timings(timings: dict[str, float]) -> None:
    """Where the time went, stage by stage."""
    print("timings    (wall time of each stage)")
    for stage, milliseconds in timings.items():
        print(f"             {stage:15s} {milliseconds:9.1f} ms")


def in_proportion(picture: Image.Image, source: Path) -> Image.Image:
    """A picture of 256 x 256 in the shape of the photo, which the service has stretched to a square."""
    with Image.open(source) as photo:
        width, height = ImageOps.exif_transpose(photo).size
    return picture.resize((max(1, round(256 * width / height)), 256), Image.Resampling.BICUBIC)


def sheet(source: Path, pose: Path, result: Path) -> Image.Image:
    """Source | pose | result side by side in the photo's shape, with captions."""
    # Imported here so that --help answers at once.
    from xmdpt.preprocess import to_photo
    from xmdpt.skeleton import draw_skeleton, to_frame, to_skeleton

    if pose.suffix == ".json":
        points = json.loads(pose.read_text())
        key_points = [(-1.0, -1.0) if p is None else (float(p[0]), float(p[1])) for p in points["keypoints"]]
        frame = to_frame(key_points, points.get("size", [256, 256]), points.get("origin", [0, 0]))
        skeleton = draw_skeleton(frame)
    else:
        skeleton = to_skeleton(Image.open(pose))
    photo = Image.fromarray(to_photo(Image.open(source)))
    with Image.open(result) as made:
        cells = [in_proportion(photo, source), in_proportion(Image.fromarray(skeleton), source), made.convert("RGB")]
    width, height = cells[0].size
    canvas = Image.new("RGB", (3 * width + 4 * 8, height + 2 * 8 + 16), "white")
    draw = ImageDraw.Draw(canvas)
    for index, (cell, caption) in enumerate(zip(cells, ("source", "pose", "result"), strict=True)):
        left = 8 + index * (width + 8)
        canvas.paste(cell, (left, 8))
        draw.text((left, height + 12), caption, fill="black")
    return canvas


def call(url: str, body: bytes | None = None, headers: dict[str, str] | None = None) -> bytes:
    """One HTTP exchange; what a problem says of each field becomes the error."""
    request = urllib.request.Request(url, data=body, headers=headers or {})
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            return response.read()
    except urllib.error.HTTPError as error:
        raise DemoError(explanation(error)) from None
    except OSError as error:
        raise DemoError(f"the service does not answer any more: {error}") from None


def explanation(error: urllib.error.HTTPError) -> str:
    """A refused request in words: the fields at fault, or else the problem's detail."""
    text = error.read().decode(errors="replace")
    if error.headers.get_content_type() != "application/problem+json":
        return f"{error.code} {text[:500]}"
    problem = json.loads(text)
    faults = [f"{issue['pointer']} {issue['detail']}" for issue in problem.get("errors", [])] or [problem["detail"]]
    return f"{error.code} {problem['code']}: {'; '.join(faults)}"


if __name__ == "__main__":
    sys.exit(main())
