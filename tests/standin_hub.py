"""A stand-in for the model hub: a real HTTP server on this machine that answers as much of the hub's API as its client needs.

Use it as a context manager and point HF_ENDPOINT at `url`. A repository can misbehave: see `Repo.mood`. Also serves any
path as "nothing for a long time" while `silent` is set. It checks no signatures and knows one revision a repository.
"""

import hashlib
import json
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit


@dataclass
class Repo:
    """`files`: name → bytes. `mood`: ok | gated | private | truncated (breaks off half-way) | damaged (other bytes of the
    same length) | trickle (eight bytes at a time, twenty times a second)."""

    files: dict[str, bytes]
    commit: str = "c0ffee" + "0" * 34
    mood: str = "ok"
    large: tuple[str, ...] = ("model.safetensors",)  # announced with a sha256, as the hub does for large files


@dataclass
class StandInHub:
    """`with StandInHub({"owner/name": Repo({...})}) as hub:` serves until the block ends; `asked` lists what came in. Models are
    `repos`, data sets `datasets`."""

    repos: dict[str, Repo] = field(default_factory=dict)
    datasets: dict[str, Repo] = field(default_factory=dict)
    silent: bool = False
    asked: list[str] = field(default_factory=list)

    def __enter__(self) -> "StandInHub":
        hub = self

        class Handler(_Handler):
            owner = hub

        class Server(ThreadingHTTPServer):
            def handle_error(self, *_: object) -> None:
                """A client that went away (killed, or tired of waiting) is what some tests are about."""

        self.server = Server(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.silent = False
        self.server.shutdown()
        self.server.server_close()


class _Handler(BaseHTTPRequestHandler):
    owner: StandInHub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Quiet."""

    def do_POST(self) -> None:
        """Only `paths-info`: what is known of these paths."""
        self.body = self.rfile.read(int(self.headers.get("content-length", 0)))
        self.do_GET()

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path).strip("/")
        self.owner.asked.append(f"{self.command} {path}")
        until = time.monotonic() + 30
        while self.owner.silent and time.monotonic() < until:
            time.sleep(0.05)
        parts = path.split("/")
        self.kept = self.owner.repos
        if parts[:2] == ["api", "datasets"] or parts[:1] == ["datasets"]:
            self.kept = self.owner.datasets
            parts = ["api", "models", *parts[2:]] if parts[0] == "api" else parts[1:]
        if parts[:2] == ["api", "models"] and len(parts) == 6 and parts[4] == "paths-info":
            return self._refuse_or("/".join(parts[2:4]), self._paths, parts[5])
        if parts[:2] == ["api", "models"] and len(parts) >= 6 and parts[4] == "tree":
            return self._refuse_or("/".join(parts[2:4]), self._tree, "/".join(parts[5:]))
        if parts[:2] == ["api", "models"] and len(parts) >= 4:
            return self._refuse_or("/".join(parts[2:4]), self._info, parts[5] if len(parts) > 5 else "main")
        if len(parts) >= 5 and parts[2] == "resolve":
            return self._refuse_or("/".join(parts[:2]), self._file, "/".join(parts[4:]))
        return self._answer(404, b"{}")

    def _refuse_or(self, repo_id: str, then, argument: str) -> None:
        repo = self.kept.get(repo_id)
        opened = self.headers.get("authorization") == "Bearer let-me-in"
        if repo is None:
            return self._answer(404, b"{}", {"X-Error-Code": "RepoNotFound"})
        if repo.mood == "gated" and not opened:
            return self._answer(403, b"{}", {"X-Error-Code": "GatedRepo"})
        if repo.mood == "private" and not opened:
            return self._answer(401, b"{}", {"X-Error-Code": "RepoNotFound"})
        return then(repo_id, repo, argument)

    def _info(self, repo_id: str, repo: Repo, revision: str) -> None:
        if revision not in ("main", repo.commit):
            return self._answer(404, b"{}", {"X-Error-Code": "RevisionNotFound"})
        siblings = []
        for name, data in repo.files.items():
            entry = {"rfilename": name, "size": len(data), "blobId": _blob_id(data)}
            if name in repo.large:
                entry["lfs"] = {"size": len(data), "sha256": hashlib.sha256(data).hexdigest(), "pointerSize": 134}
            siblings.append(entry)
        body = {
            "id": repo_id,
            "modelId": repo_id,
            "sha": repo.commit,
            "private": False,
            "tags": [],
            "siblings": siblings,
        }
        return self._answer(200, json.dumps(body).encode(), {"Content-Type": "application/json"})

    def _tree(self, repo_id: str, repo: Repo, place: str) -> None:
        _, _, folder = place.partition("/")
        files = {name: data for name, data in repo.files.items() if not folder or name.startswith(folder + "/")}
        if not files:
            return self._answer(404, b"{}", {"X-Error-Code": "EntryNotFound"})
        rows = [{"type": "file", "path": n, "oid": _blob_id(d), "size": len(d)} for n, d in files.items()]
        return self._answer(200, json.dumps(rows).encode(), {"Content-Type": "application/json"})

    def _paths(self, repo_id: str, repo: Repo, revision: str) -> None:
        asked = parse_qs(self.body.decode())["paths"] if b"=" in self.body else json.loads(self.body)["paths"]
        rows = [
            {"type": "file", "path": n, "oid": _blob_id(d), "size": len(d)} for n, d in repo.files.items() if n in asked
        ]
        return self._answer(200, json.dumps(rows).encode(), {"Content-Type": "application/json"})

    def _file(self, repo_id: str, repo: Repo, name: str) -> None:
        data = repo.files.get(name)
        if data is None:
            return self._answer(404, b"", {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": repo.commit})
        tag = hashlib.sha256(data).hexdigest() if name in repo.large else _blob_id(data)
        headers = {"X-Repo-Commit": repo.commit, "ETag": f'"{tag}"', "Accept-Ranges": "bytes"}
        if self.command == "HEAD" or name not in repo.large or repo.mood in ("ok", "gated", "private"):
            return self._answer(200, data, headers)
        if repo.mood == "damaged":
            return self._answer(200, bytes(byte ^ 1 for byte in data), headers)
        self._start(200, len(data), {**headers, "Connection": "close"})
        if repo.mood == "trickle":
            for at in range(0, len(data), 8):
                self.wfile.write(data[at : at + 8])
                time.sleep(0.05)
        elif not self.headers.get("range"):  # truncated: half of it, and nothing at all when asked for the rest
            self.wfile.write(data[: len(data) // 2])
        self.close_connection = True
        return None

    def _answer(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self._start(status, len(body), headers or {})
        if self.command != "HEAD":
            self.wfile.write(body)

    def _start(self, status: int, length: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(length)}.items():
            self.send_header(name, value)
        self.end_headers()


def _blob_id(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()
