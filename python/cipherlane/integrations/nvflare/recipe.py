"""FLARE's recipe for federated averaging, under encryption."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from nvflare.recipe.fedavg import FedAvgRecipe

from cipherlane.integrations.averaging import AveragingTerms
from cipherlane.integrations.nvflare.aggregator import PaillierAggregator
from cipherlane.integrations.nvflare.job import add_client_filters, check_options
from cipherlane.integrations.nvflare.persistor import EncryptedModelPersistor
from cipherlane.integrations.nvflare.site_keys import KEY_NAME, PASSWORD


class EncryptedFedAvgRecipe(FedAvgRecipe):  # type: ignore[misc]
    """FLARE's `FedAvgRecipe` over models that the server cannot read.

    Scripts use FLARE's client API as before, and may send an `FLModel` of type FULL or DIFF, or let
    ``params_transfer_type`` make the difference. Their ``meta`` must have NUM_STEPS_CURRENT_ROUND.

    Parameters
    ----------
    terms : AveragingTerms
    initial : str, default ""
        As for `EncryptedModelPersistor`: the file, at the server, of the model that training begins with. Without one
        scripts receive an empty model at first, and cannot send differences to it.
    key, password, clip
        As for `PaillierModelEncryptor`.
    ignore_result_error : bool, optional
        As for `FedAvg`: True goes on without clients whose task failed.
    **options
        Of `FedAvgRecipe`. ``min_clients`` is ``terms.parties`` if it is not given.

    Raises
    ------
    ValueError
        An option needs what the server cannot see.

    Examples
    --------
    >>> recipe = EncryptedFedAvgRecipe(
    ...     terms=AveragingTerms(parties=3, most_weight=10_000), name="encrypted", num_rounds=5, train_script="train.py"
    ... )
    """

    def __init__(
        self,
        *,
        terms: AveragingTerms,
        initial: str = "",
        key: str = KEY_NAME,
        password: str = PASSWORD,
        clip: bool = False,
        ignore_result_error: bool | None = None,
        **options: Any,
    ) -> None:
        check_options(options)
        self._terms = terms
        self._filter_settings: dict[str, Any] = {"key": key, "password": password, "clip": clip}
        self._controller_settings = {
            "allow_empty_global_weights": not initial,
            "ignore_result_error": ignore_result_error,
        }
        super().__init__(
            # Metrics do not leave the clients, so no model is the best by one.
            **{"min_clients": terms.parties, "key_metric": "", **options},
            aggregator=PaillierAggregator(asdict(terms), key),
            model_persistor=EncryptedModelPersistor(initial),
        )
        self._job.set_app_packages(["cipherlane"])

    def _get_controller_kwargs(self) -> dict[str, Any]:
        return {**super()._get_controller_kwargs(), **self._controller_settings}

    def _prepare_client_apps(self) -> None:
        super()._prepare_client_apps()
        add_client_filters(self._job, self._terms, **self._filter_settings, sites=list(self.per_site_config or ()))
