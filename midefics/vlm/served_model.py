"""MLflow's door to the model: images and questions in, answers out. MLflow runs this file when it loads a version."""

import base64
import binascii
from typing import Any

import mlflow
import pandas as pd  # type: ignore[import-untyped] # no stubs installed
from mlflow.pyfunc.model import PythonModel, PythonModelContext

from midefics.errors import ModelError


class MedicalVqa(PythonModel):
    """Base model in nf4 and adapter beside it, as they were registered."""

    def load_context(self, context: PythonModelContext) -> None:
        """Loads the adapter from the version's own artifacts, and the base from where all versions share it."""
        from pathlib import Path

        from midefics.config import load_settings
        from midefics.services.shared_base import SharedBase
        from midefics.vlm.load import load_tuned

        base = SharedBase.model_validate_json(Path(context.artifacts["base"]).read_bytes())
        self._loaded = load_tuned(base.folder(load_settings()), Path(context.artifacts["adapter"]))

    def predict(
        self, context: PythonModelContext, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> list[str]:
        """Answers every row.

        Args:
            context: MLflow's.
            model_input: a table with the columns `question` and `image`: a base64 string, empty where there is none.
            params: `max_new_tokens`.

        Raises:
            ModelError: an image is not base64.
        """
        del context
        from midefics.vlm.generate import Prompt, answers

        prompts = [Prompt(row["question"], _decoded(row.get("image"))) for row in model_input.to_dict("records")]
        return answers(
            self._loaded, prompts, batch_size=16, max_new_tokens=int((params or {}).get("max_new_tokens", 128))
        )


def _decoded(image: str | None) -> bytes | None:
    try:
        return base64.b64decode(image, validate=True) if image else None
    except binascii.Error as error:
        raise ModelError(f"image: not base64 ({error})") from error


mlflow.models.set_model(MedicalVqa())
