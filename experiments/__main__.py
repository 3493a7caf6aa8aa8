"""The command line: every ability of the lab without the page, through the same specs, queue, store and engine.

`python -m experiments --help`. With `--json` standard output carries one JSON object and nothing else; what a person
watches goes to standard error. Wrong input is one sentence and exit status 2, a run that failed is exit status 1.
"""

from experiments import commands  # noqa: F401 - puts every command on the app
from experiments.terminal import app

app.info.help = __doc__

if __name__ == "__main__":
    app()
