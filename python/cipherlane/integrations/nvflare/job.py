"""Encrypted averaging put into a FLARE job."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

from nvflare.app_common.shareablegenerators.full_model_shareable_generator import FullModelShareableGenerator
from nvflare.app_common.workflows.fedavg import FedAvg
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
FED_AVG = "FedAvg"
SCATTER_AND_GATHER = "ScatterAndGather"
_METRICS = "metrics do not leave the clients"
_FIRST_MODEL = "name the file of the first model (initial)"
# Options of FedAvg and its recipe, most of which would be without effect and a word.
_REFUSED = {
    "aggregator": "it has PaillierAggregator",
    "aggregation_weights": "a client's weight is its NUM_STEPS_CURRENT_ROUND, which is encrypted with its model",
    "exclude_vars": "the server cannot take layers apart; have the clients leave them out",
    "stop_cond": _METRICS,
    "patience": _METRICS,
    "model": _FIRST_MODEL,
    "initial_ckpt": _FIRST_MODEL,
    "model_persistor": _FIRST_MODEL,
}


def add_encrypted_averaging(
    job: FedJob,
    terms: AveragingTerms,
    *,
    rounds: int,
    workflow: str = FED_AVG,
    clients: int | None = None,
    initial: str = "",
    key: str = KEY_NAME,
    password: str = PASSWORD,
    clip: bool = False,
    **options: Any,
) -> None:
    """Give a job federated averaging under encryption; an executor of the task "train" is all it needs besides.

    Parameters
    ----------
    job : FedJob
    terms : AveragingTerms
    rounds : int
        Of training.
    workflow : {"FedAvg", "ScatterAndGather"}, default "FedAvg"
        FLARE's workflow of that name.
    clients : int, optional
        How many results a round waits for. Default: ``terms.parties``.
    initial : str, default ""
        As for `EncryptedModelPersistor`: the file, at the server, of the model that training begins with.
    key, password, clip
        As for `PaillierModelEncryptor`.
    **options
        Of the workflow, such as ``ignore_result_error=True``, to go on without clients whose task failed.

    Raises
    ------
    ValueError
        There is no such workflow, or an option needs what the server cannot see.

    Examples
    --------
    >>> job = FedJob(name="encrypted", min_clients=3)
    >>> add_encrypted_averaging(job, AveragingTerms(parties=3, most_weight=10_000), rounds=5)
    """
    waited_for = terms.parties if clients is None else clients
    options = {"num_rounds": rounds, "allow_empty_global_weights": not initial, **options}
    aggregator = PaillierAggregator(asdict(terms), key)
    job.set_app_packages(["cipherlane"])
    if workflow == FED_AVG:
        check_options(options)
        job.to_server(FedAvg(num_clients=waited_for, aggregator=aggregator, task_name=TRAIN_TASK, **options))
    elif workflow == SCATTER_AND_GATHER:
        job.to_server(
            ScatterAndGather(
                min_clients=waited_for,
                wait_time_after_min_received=0,
                aggregator_id="aggregator",
                persistor_id="persistor",
                shareable_generator_id="shareable_generator",
                train_task_name=TRAIN_TASK,
                **options,
            )
        )
        job.to_server(aggregator, id="aggregator")
        job.to_server(FullModelShareableGenerator(), id="shareable_generator")
    else:
        raise ValueError(f"workflow: expected {FED_AVG!r} or {SCATTER_AND_GATHER!r}, got {workflow!r}")
    job.to_server(EncryptedModelPersistor(initial), id="persistor")
    add_client_filters(job, terms, key=key, password=password, clip=clip)


def add_client_filters(
    job: FedJob,
    terms: AveragingTerms,
    *,
    key: str = KEY_NAME,
    password: str = PASSWORD,
    clip: bool = False,
    sites: Sequence[str] = (),
) -> None:
    """Let all clients of a job, or those of ``sites``, encrypt and decrypt; other parameters as for the encryptor."""
    settings = asdict(terms)
    encryptor = PaillierModelEncryptor(settings, key, password, clip)
    decryptor = PaillierModelDecryptor(settings, key, password)
    for some, kind in ((encryptor, FilterType.TASK_RESULT), (decryptor, FilterType.TASK_DATA)):
        for site in sites:
            job.to(some, site, filter_type=kind, tasks=[TRAIN_TASK])
        if not sites:
            job.to_clients(some, filter_type=kind, tasks=[TRAIN_TASK])


def check_options(options: Iterable[str]) -> None:
    """Raise `ValueError` where an option of `FedAvg` or its recipe needs what the server cannot see."""
    for option in options:
        if option in _REFUSED:
            raise ValueError(f"{option}: not with encrypted averaging: {_REFUSED[option]}")
