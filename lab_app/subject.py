"""What is trained on what: a model of the list or any of the hub, a task of the lab or rows of one's own. A part of the forms of Train,
Sweep and Compare, drawn by assets/subject.js; what was typed travels with the form's value.
"""

from __future__ import annotations

from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from experiments.catalog import models, tasks
from experiments.specs import RunSpec, SpecError
from lab_app import sentences
from lab_app.own import IMITATE

OTHER = "another"
OWN = "own"
Form = TypeVar("Form", bound="Subject")
NO_ROWS = "Bring your rows first: a file, pasted text or a data set of the model hub."


class Subject(BaseModel):
    """What a visitor typed of it, unchecked. `own` says which rows: `key`, `columns`, `template`, and `objective`, how they are learnt."""

    model_config = ConfigDict(extra="ignore")

    edit: int = 0
    model: str = ""
    hub_id: str = ""
    task: str = ""
    own: dict[str, Any] = Field(default_factory=dict)

    @classmethod
    def read(cls: type[Form], value: Any) -> Form:
        """What the browser sent; where that is no form at all, an empty one."""
        try:
            return cls.model_validate(value)
        except ValidationError:
            return cls()

    @property
    def about(self) -> dict[str, Any]:
        """Task, columns, template and an objective that does not merely imitate, as a spec names them."""
        if self.task != OWN:
            return {"task": self.task}
        about = {"task": self.own.get("key"), "data": self.own.get("columns"), "template": self.own.get("template")}
        objective = self.own.get("objective") or IMITATE
        return about if objective == IMITATE else {**about, "objective": objective}

    @property
    def model_key(self) -> str:
        return self.hub_id.strip() if self.model == OTHER else self.model

    @property
    def is_asking(self) -> bool:
        """Whether a hub id is still to be typed."""
        return self.model == OTHER and not self.model_key

    @property
    def missing(self) -> dict[str, str]:
        """Rows that were not brought yet, in a sentence at the task."""
        return {"task": NO_ROWS} if self.task == OWN and not self.own.get("key") else {}

    @property
    def task_facts(self) -> str:
        return "Rows that you bring; nobody else sees them." if self.task == OWN else sentences.about_task(self.task)

    def place(self, field: str) -> str:
        """Where in this part a problem of a spec stands; empty where that is elsewhere in the form."""
        head = field.split(".")[0]
        if head in ("model", "weights"):
            return "hub_id" if self.model == OTHER else "model"
        return "task" if head in ("task", "data", "template", "objective", "goal") else ""

    def problems(self, error: SpecError) -> dict[str, str]:
        """What stands in the way of a spec, each sentence at its place in this form."""
        return {self.place(problem.field): problem.sentence for problem in error.problems}


def filled(spec: RunSpec) -> dict[str, Any]:
    """This part of a form's value that says what a spec says."""
    known = spec.model in {m.key for m in models.available()}
    rows = {"key": spec.task, "template": spec.template, "objective": spec.objective}
    return {
        "model": spec.model if known else OTHER,
        "hub_id": "" if known else spec.model,
        "task": OWN if spec.data else spec.task,
        "own": {**rows, "columns": {**spec.data.chosen, "max_length": spec.data.max_length}} if spec.data else {},
    }


def describe(group: str = "") -> dict[str, Any]:
    """What there is to choose. `group` begins the ids of this form's elements and tells the forms of a page apart."""
    size = {m.key: f" · {m.size_mb:,.0f} MB" if m.size_mb else "" for m in models.available()}
    shown = [[m.title + size[m.key], m.key] for m in models.available()]
    return {
        "group": group,
        "another": OTHER,
        "model": {"id": f"{group}model", "legend": "Model", "choices": [*shown, ["Another, from the hub", OTHER]]},
        "hub_id": {
            "id": f"{group}hub-id", "name": "hub_id", "label": "Hub id", "kind": "text", "placeholder": "owner/name",
            "help": "Any causal language model of the hub, as owner/name.",
        },
        "task": {"id": f"{group}task", "legend": "Task", "choices": [*([t.title, t.key] for t in tasks.TASKS), ["Your own", OWN]]},
    }  # fmt: skip
