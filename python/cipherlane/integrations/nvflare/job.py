"""Encrypted averaging put into a FLARE job."""

from __future__ import annotations

from dataclasses import asdict

from nvflare.app_common.shareablegenerators.full_model_shareable_generator import FullModelShareableGenerator
from nvflare.app_common.workflows.scatter_and_gather import ScatterAndGather
from nvflare.job_config.api import FedJob
from nvflare.job_config.defs import FilterType

from cipherlane.integrations.averaging import AveragingTerms
from cipherlane.integrations.nvflare.aggregator import PaillierAggregator
from cipherlane.integrations.nvflare.model_decryptor import PaillierModelDecryptor
from cipherlane.integrations.nvflare.model_encryptor import PaillierModelEncryptor
from cipherlane.integrations.nvflare.persistor import EncryptedModelPersistor
from cipherlane.integrations.nvflare.site_keys import KEY_NAME, PASSWORD

TRAIN_TASK = "train"


def add_encrypted_averaging(
    job: FedJob,
    terms: AveragingTerms,
    *,
    rounds: int,
    clients: int | None = None,
    initial: str = "",
    key: str = KEY_NAME,
    password: str = PASSWORD,
    clip: bool = False,
) -> None:
    """Give a job federated averaging under encryption; an executor of the task "train" is all it needs besides.

    Parameters
    ----------
    job : FedJob
    terms : AveragingTerms
    rounds : int
        Of training.
    clients : int, optional
        How many results a round waits for. Default: ``terms.parties``.
    initial : str, default ""
        As for `EncryptedModelPersistor`: the file, at the server, of the model that training begins with.
    key, password, clip
        As for `PaillierModelEncryptor`.

    Examples
    --------
    >>> job = FedJob(name="encrypted", min_clients=3)
    >>> add_encrypted_averaging(job, AveragingTerms(parties=3, most_weight=10_000), rounds=5)
    """
    settings = asdict(terms)
    job.set_app_packages(["cipherlane"])
    job.to_server(
        ScatterAndGather(
            min_clients=terms.parties if clients is None else clients,
            num_rounds=rounds,
            wait_time_after_min_received=0,
            aggregator_id="aggregator",
            persistor_id="persistor",
            shareable_generator_id="shareable_generator",
            train_task_name=TRAIN_TASK,
            allow_empty_global_weights=not initial,
        )
    )
    job.to_server(PaillierAggregator(settings, key), id="aggregator")
    job.to_server(EncryptedModelPersistor(initial), id="persistor")
    job.to_server(FullModelShareableGenerator(), id="shareable_generator")
    encryptor = PaillierModelEncryptor(settings, key, password, clip)
    decryptor = PaillierModelDecryptor(settings, key, password)
    job.to_clients(encryptor, filter_type=FilterType.TASK_RESULT, tasks=[TRAIN_TASK])
    job.to_clients(decryptor, filter_type=FilterType.TASK_DATA, tasks=[TRAIN_TASK])
