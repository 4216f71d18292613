"""Open what a run left behind: the model and the record of how it was made."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from transformers import AutoConfig, AutoModel

from lightrec.errors import ModelError
from lightrec.files import read_json
from lightrec.models.gru4rec import Gru4Rec, Gru4RecConfig
from lightrec.models.mini_bert import MiniBert, MiniBertConfig
from lightrec.models.sasrec import Sasrec, SasrecConfig
from lightrec.models.student import Student, StudentConfig
from lightrec.models.teacher import Teacher, TeacherConfig

STUDENTS: dict[str, tuple[type[StudentConfig], type[Student]]] = {
    "sasrec": (SasrecConfig, Sasrec),
    "mini-bert": (MiniBertConfig, MiniBert),
    "gru4rec": (Gru4RecConfig, Gru4Rec),
}
"""The students by the name that ``--student`` takes."""

for _config, _model in (*STUDENTS.values(), (TeacherConfig, Teacher)):
    AutoConfig.register(_config.model_type, _config, exist_ok=True)  # type: ignore[attr-defined]
    AutoModel.register(_config, _model, exist_ok=True)


def read_run(run: str | Path) -> dict[str, Any]:
    """The content of a run folder's run.json.

    Raises:
        ModelError: if the folder is not a finished run.
    """
    path = Path(run)
    if not (path / "run.json").is_file():
        state = "is unfinished" if (path / "settings.toml").is_file() else "is not a run"
        raise ModelError(
            f"{run} {state} (it holds no run.json): give the --out folder of a finished lightrec finetune, train or "
            "distill; an unfinished one goes on when its command is given again."
        )
    return read_json(path / "run.json")


def load_model(run: str | Path) -> tuple[Student | Teacher, dict[str, Any]]:
    """The model of a finished run, in evaluation mode, and its run.json."""
    record = read_run(run)
    try:
        model = AutoModel.from_pretrained(str(run))
    except (OSError, ValueError) as error:
        raise ModelError(f"The model in {run} cannot be loaded: {str(error).splitlines()[0]}") from None
    return model.eval(), record
