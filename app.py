"""Serve the fine-tuning lab: `python app.py`, or as a hosted Space. GRADIO_SERVER_NAME and GRADIO_SERVER_PORT say where."""

import os
import sys

sys.modules["pyarrow"] = None  # type: ignore[assignment]  # Gradio's pandas loads it where it is found: 65 MB, of no use to the page
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")  # read when gradio is imported: no call home

from experiments.catalog.cache import ResourceError  # noqa: E402
from lab_app.lab import open_lab  # noqa: E402
from lab_app.layout import build_app, serve  # noqa: E402

if __name__ == "__main__":
    try:
        lab = open_lab()
    except (ValueError, ResourceError) as error:
        sys.exit(str(error))
    serve(build_app(lab))
