"""The clinic's part of a FLARE recipe, by FLARE's client API: it knows nothing of encryption."""

from __future__ import annotations

import nvflare.client as flare

from local_training import initial_weights, train


def main() -> None:
    flare.init()
    clinic = int(flare.get_site_name().rsplit("-", 1)[1]) - 1
    while flare.is_running():
        received = flare.receive()
        weights, rows = train(received.params or initial_weights(), clinic)
        meta = {"NUM_STEPS_CURRENT_ROUND": rows}
        if received.params:
            difference = {name: weights[name] - received.params[name] for name in weights}
            flare.send(flare.FLModel(params_type=flare.ParamsType.DIFF, params=difference, meta=meta))
        else:
            # A first round without a model: whole weights, for there is nothing to differ from.
            flare.send(flare.FLModel(params=weights, meta=meta))


if __name__ == "__main__":
    main()
