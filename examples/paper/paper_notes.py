"""What the paper prints inconsistently or leaves open, and what is done here."""

from __future__ import annotations

# (what the paper has, what is done here)
INCONSISTENT = (
    (
        "The formula of WoE is ln(event rate / non-event rate); the WoE column of Table 1 has the opposite sign.",
        "WoE is computed by the formula everywhere (cipherlane bin, WoeBinner). Table 1 and Figure 7 "
        "of this report carry "
        "the printed sign, so that they can be held beside the paper's.",
    ),
    (
        "IV is defined as a sum over all bins; the IV column of Table 1 has each bin's own part.",
        "Table 1 prints the parts as the paper does; the sum is the column's IV, and selection uses that.",
    ),
    (
        "Two bins of Table 1 have no event and two no non-event, where WoE by the formula is infinite.",
        "Where either count is 0, 0.5 is added to both counts of that bin, and rates stay over the "
        "unadjusted totals 357 "
        "and 212. Of the rules tried this one gives all printed digits; FATE 1.x and SecretFlow have it too.",
    ),
)
OPEN = (
    (
        "How equal-frequency cuts are rounded to values.",
        "Cut k of 10 is the sorted value at place ceil(k n / 10), numpy's inverted_cdf; a value "
        "belongs to the first bin "
        "whose cut it does not exceed. Interpolated quantiles do not give the printed cuts.",
    ),
    (
        "Which label is the event.",
        "y = 1, a benign tumour (357 of 569 rows): the printed counts admit nothing else. A high x0 speaks against it.",
    ),
    (
        "How ciphertext sums stay exact where real numbers are summed.",
        "Fixed point with 40 fractional bits and a bound that is checked. Counts by bin are whole numbers and exact.",
    ),
    (
        "What EM starts from.",
        "k-means on the guest's own columns, seed 0. The start matters as much as the model, so the "
        "pooled mixture that "
        "the federation is held against has the same one.",
    ),
    (
        "Whether responsibilities are rounded before parties receive them.",
        "To two decimals: exact ones let a party work out the other's log-ratio for 94 % of the rows "
        "of these data, two "
        "decimals for less than 1 %. Clusters stay the same; the AUC of what the guest receives "
        "falls, because most rows tie "
        "at 0 or 1. Both are shown: 'federated' is the model itself, 'federated, two decimals' what "
        "the guest receives.",
    ),
    (
        "How clusters, which training forms without labels, become a classifier.",
        "The guest, who has labels, gives each component the rate of events among its training rows; "
        "a row's probability "
        "is the mean of those rates by its responsibilities. With two components this is matching clusters to classes.",
    ),
    (
        "Which rows the predictions of Table 2 are of.",
        "Rows of type 'train' were trained on, rows of type 'test' were not; quality is told of rows "
        "not trained on only. "
        "Columns are selected from the training rows of each fold alone, as selection looks at labels.",
    ),
    (
        "How the gradient of the logistic regression is computed on encrypted numbers.",
        "The logistic function of a sum is written as products of what each party computes from its "
        "own part, so that no "
        "party shows its score and no polynomial runs away at large scores; see SeparableLogistic.",
    ),
    (
        "Key size, scheme, penalty, learning rate, folds.",
        "Told below the title and with each data set, and kept in the plans of the runs.",
    ),
)
