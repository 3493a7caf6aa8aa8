"""The worker process: takes jobs as JSON lines, keeps the base model warm, writes events into the store, dies alone.

`python -m experiments.engine.worker HOME`. Side-by-side answers are taken between two steps of a training. When standard
input closes, the lab is gone and so is the worker, at once.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import logging
import os
import queue
import signal
import sys
import threading
from pathlib import Path
from typing import Any

TURN = {"sample": 0, "warm": 1, "pace": 1, "train": 2}
log = logging.getLogger(__name__)


def main(home: Path) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl+C is for the lab, which stops its runs in order
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # whatever a library prints goes to the log, not between our lines
    with contextlib.suppress(OSError):
        os.nice(5)  # the page comes first
    commands: queue.PriorityQueue[tuple[int, int, dict[str, Any]]] = queue.PriorityQueue()
    threading.Thread(target=_listen, args=(commands,), daemon=True).start()

    from experiments.engine.execution import Engine  # torch: some seconds
    from experiments.jobs import Job
    from experiments.specs import RunSpec
    from experiments.store import FILE, Key, Store

    def handle(command: dict[str, Any]) -> None:
        answer: dict[str, Any] = {"done": command["id"]}
        if command["kind"] == "warm":
            with contextlib.suppress(Exception):
                engine.warm(command["model"])
        elif command["kind"] == "pace":
            try:
                spec = RunSpec.model_validate_json(command["run"])
                answer["told"] = engine.pace(spec, command["threads"], command["seconds"])
            except Exception:  # it cannot be trained here: its run will say why
                log.exception("no pace")
        else:
            engine.execute(Job(command["kind"], tuple(Key(*key) for key in command["keys"])))
        answers.write(json.dumps(answer) + "\n")

    def serve() -> None:
        while commands.queue and commands.queue[0][0] == TURN["sample"]:
            handle(commands.get()[2])

    engine = Engine(Store(home / FILE), home, serve)
    while True:
        handle(commands.get()[2])


def _listen(commands: queue.PriorityQueue[tuple[int, int, dict[str, Any]]]) -> None:
    count = itertools.count()
    for line in sys.stdin:
        command = json.loads(line)
        commands.put((TURN[command["kind"]], next(count), command))
    os._exit(0)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    main(Path(sys.argv[1]))
