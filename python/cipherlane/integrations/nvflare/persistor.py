"""What the server keeps of a model that it cannot read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from nvflare.apis.dxo import DXO, DataKind
from nvflare.apis.fl_context import FLContext
from nvflare.app_common.abstract.model import ModelLearnable, ModelLearnableKey, make_model_learnable
from nvflare.app_common.abstract.model_persistor import ModelPersistor

from cipherlane.errors import ProtocolError
from cipherlane.files import make_directory, told, write_whole
from cipherlane.integrations.nvflare.encrypted_dxo import is_encrypted, message_in

AVERAGE_FILE = "average.cipherlane"


class EncryptedModelPersistor(ModelPersistor):  # type: ignore[misc]
    """Loads the first round's model, and keeps the last average as the bytes that `decrypt_average` reads.

    Parameters
    ----------
    initial : str, default ""
        An .npz file with an array a layer, at the server; it goes to the clients as it is. With none, clients begin
        with what they have, and the workflow needs ``allow_empty_global_weights=True``.
    file : str, default "average.cipherlane"
        Where the average is kept, below the job's results at the server.
    """

    def __init__(self, initial: str = "", file: str = AVERAGE_FILE) -> None:
        super().__init__()
        self.initial = initial
        self.file = file

    def load_model(self, fl_ctx: FLContext) -> ModelLearnable:
        """Return the first round's model.

        Raises
        ------
        StorageError
            There is no such file.
        ValueError
            It is no .npz file of plain arrays.
        """
        if not self.initial:
            return make_model_learnable({}, {})
        path = Path(self.initial)
        with told(path), np.load(path, allow_pickle=False) as arrays:
            return make_model_learnable({name: arrays[name] for name in arrays.files}, {})

    def save_model(self, model: ModelLearnable, fl_ctx: FLContext) -> None:
        """Keep the average.

        Raises
        ------
        ProtocolError
            The model is not encrypted.
        StorageError
            The file cannot be written.
        """
        dxo = DXO(DataKind.WEIGHTS, data=model[ModelLearnableKey.WEIGHTS], meta=model[ModelLearnableKey.META])
        if not is_encrypted(dxo):
            raise ProtocolError(
                "model: expected the encrypted sum that PaillierAggregator makes, got another; give the workflow that "
                "aggregator, as add_encrypted_averaging and EncryptedFedAvgRecipe do"
            )
        path = Path(fl_ctx.get_workspace().get_result_root(fl_ctx.get_job_id())) / self.file
        make_directory(path.parent)
        write_whole(path, message_in(dxo))
        self.log_info(fl_ctx, f"kept the encrypted average: {path}")
