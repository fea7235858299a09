"""Codes 3xx: sections that do not fit together: data, pipeline, evaluation and claims (METHOD 2 to 4).

The other codes of this hundred are in `hints` (325 to 339), `teacher` (340 to 348) and `training` (360 to 368).
"""

from __future__ import annotations

from c2f_spec.diagnostics.codes.entry import Entry

CHAIN = "teacher: {kind: lexicon}\nfilters: {polarity_match: {}}\n"
CLAIM = "hypothesis: {metric: MAE, direction: lower, min_effect: 0.01, baseline: keep}\n"

ENTRIES: dict[str, Entry] = {
    "C2F301": Entry(
        "an unknown data set",
        "A spec names data sets; what is known of each (language, range of the annotations, splits, metrics) is in "
        "`c2f_spec/spec/datasets.py`; one's own is declared under `data.own`, in lines that `c2f-spec data add NAME --from DIR` "
        "prints.",
        "data: {train: sims}\n",
        "data: {train: ch-sims}\n",
    ),
    "C2F302": Entry(
        "a data set without a training split",
        "Teacher, SFT and GRPO see the training split of `data.train`, and this data set has none: it is for testing "
        "out of domain.",
        "data: {train: icwsm2014-nyt}\nformat: direct\nsft: {}\n",
        "data: {train: icwsm2014-movie}\nformat: direct\nsft: {}\n",
    ),
    "C2F303": Entry(
        "a rendering seed without a rendering",
        "`render_seed` draws voice and face for sentences that come without media. Recorded clips have their own, so "
        "the field would do nothing, and nothing is accepted and ignored.",
        "data: {train: ch-sims, render_seed: 7}\nevaluate: {checkpoints: [base], datasets: [ch-sims]}\n",
        "data: {train: ch-sims}\nevaluate: {checkpoints: [base], datasets: [ch-sims]}\n",
    ),
    "C2F304": Entry(
        "named twice",
        "The evaluation matrix is checkpoints by data sets; a second mention would be the same cell again.",
        "evaluate: {checkpoints: [base, base], datasets: [icwsm2014-movie]}\n",
        "evaluate: {checkpoints: [base], datasets: [icwsm2014-movie]}\n",
    ),
    "C2F305": Entry(
        "nothing to run",
        "Sections decide the pipeline, and none of those that run something is here.",
        "evaluate:\n",
        "evaluate: {checkpoints: [base], datasets: [icwsm2014-movie]}\n",
    ),
    "C2F306": Entry(
        "a teacher without a chain to write",
        "`format: direct` is the black-box baseline of the paper's tables: the answer is the score and nothing else "
        "(METHOD 2.4). A teacher has nothing to write for it.",
        "format: direct\n" + CHAIN,
        "format: c2f\n" + CHAIN,
    ),
    "C2F307": Entry(
        "filters without a teacher",
        "Filters decide which of the teacher's chains are kept (METHOD 3). Without a teacher there are none.",
        "filters: {polarity_match: {}}\n",
        CHAIN,
    ),
    "C2F308": Entry(
        "a teacher without filters",
        "A teacher errs. Training on chains that argue for the wrong polarity teaches the student to do so, which is "
        "why the paper keeps only chains consistent with the ground truth (METHOD 3).",
        "teacher: {kind: lexicon}\n",
        CHAIN,
    ),
    "C2F309": Entry(
        "fine-tuning without chains",
        "The cold start trains on chains of thought (paper, eq. 1), and no section makes them. The baseline without "
        "chains is `format: direct`.",
        "sft: {epochs: 3}\n",
        "sft: {epochs: 3}\nformat: direct\n",
    ),
    "C2F310": Entry(
        "labels that contradict their chains",
        "Replacing the teacher's score by the label is safe only if the chain argues for the label's polarity; "
        "otherwise the target says one thing and scores another (METHOD 3).",
        "teacher: {kind: lexicon}\nfilters: {score_tolerance: {}}\n",
        "teacher: {kind: lexicon}\nfilters: {polarity_match: {}, score_tolerance: {}}\n",
    ),
    "C2F311": Entry(
        "a checkpoint that nothing makes",
        "`sft` and `grpo` are evaluated if their sections made them; `base` is the untouched student (zero-shot).",
        "evaluate: {checkpoints: [grpo], datasets: [icwsm2014-movie]}\n",
        "evaluate: {checkpoints: [base], datasets: [icwsm2014-movie]}\n",
    ),
    "C2F312": Entry(
        "rewards without a weight",
        "With a total of zero for every answer, all advantages are zero and nothing is learned (METHOD 1.2, 1.6).",
        "grpo: {rewards: {format: {weight: 0}}, hint: {hard_policy: keep}}\n",
        "grpo: {rewards: {format: {weight: 1}}, hint: {hard_policy: keep}}\n",
    ),
    "C2F313": Entry(
        "reinforcement without a polarity",
        "The rewards and the hint need the polarity that the answer states first (METHOD 1.4, 1.8); `format: direct` "
        "has none.",
        "format: direct\ngrpo: {}\n",
        "format: c2f\ngrpo: {}\n",
    ),
    "C2F314": Entry(
        "an automatic threshold without its rewards",
        "`auto` is the weights of format and polarity together: with it, a group is hard if no answer is both "
        "well-formed and of the right polarity (METHOD 1.8). One of the two rewards is not named.",
        "grpo: {rewards: {format: {}, score: {}}}\n",
        "grpo: {rewards: {format: {}, polarity: {}, score: {}}}\n",
    ),
    "C2F315": Entry(
        "a threshold that separates nothing",
        "A sample is hard if all its answers are rewarded below the threshold. Up to the weight of the format, no "
        "well-formed wrong group would be hard; above format and polarity together, right answers with a poor score "
        "would be (METHOD 1.8). The useful range lies between.",
        "grpo: {hint: {trigger: {kind: all_below, threshold: 0.5}}}\n",
        "grpo: {hint: {trigger: {kind: all_below, threshold: 1.5}}}\n",
    ),
    "C2F316": Entry(
        "a threshold without the polarity's weight",
        "A threshold on the total separates wrong from right polarities by the weight of the polarity reward (METHOD "
        "1.8). With a weight of 0 wrong and right groups can have the same total, whatever number is written.",
        "grpo: {rewards: {format: {}, polarity: {weight: 0}, score: {}}}\n",
        "grpo: {rewards: {format: {}, polarity: {weight: 1}, score: {}}}\n",
    ),
    "C2F317": Entry(
        "tags of the same name",
        "An answer is read by its tags; two parts in tags of the same name cannot be told apart.",
        "format: {kind: dc, think_tag: a, score_tag: a}\n",
        "format: {kind: dc, think_tag: a, score_tag: b}\n",
    ),
    "C2F318": Entry(
        "an evaluation that leaks",
        "The test set contains clips of the training set's source (CH-SIMS v2 includes CH-SIMS), so its cell is "
        "neither in-domain nor out-of-domain. The paper's tables have that cell; read it with this in mind.",
        "data: {train: ch-sims}\nevaluate: {checkpoints: [base], datasets: [ch-sims-v2]}\n",
        "data: {train: ch-sims}\nevaluate: {checkpoints: [base], datasets: [cmu-mosi]}\n",
    ),
    "C2F319": Entry(
        "labels that are rounded off",
        "MOSEI's labels are thirds, and with one decimal 0.33 is taught as 0.3. The label takes the place of the "
        "teacher's score (METHOD 3), so the student would learn, and be judged by, numbers that nobody gave. "
        "METHOD 2.3 uses two decimals there.",
        "data: {train: cmu-mosei}\nformat: direct\nsft: {}\n",
        "data: {train: cmu-mosei}\nformat: {kind: direct, label_decimals: 2}\nsft: {}\n",
    ),
    "C2F320": Entry(
        "a nucleus of greedy decoding",
        "At temperature 0, the default of evaluation (METHOD 8.2), the likeliest token is taken whatever `top_p` says. "
        "The results would be filed under a setting that had no part in them.",
        "evaluate: {checkpoints: [base], datasets: [icwsm2014-movie], decoding: {top_p: 0.9}}\n",
        "evaluate: {checkpoints: [base], datasets: [icwsm2014-movie], decoding: {top_p: 0.9, temperature: 0.7}}\n",
    ),
    "C2F321": Entry(
        "a claim without numbers",
        "A hypothesis is judged, and a table of the paper is set beside results, in the report of an evaluation. "
        "Without `evaluate` there is none, and the claim would stand there unanswered.",
        "format: direct\nsft: {}\nevaluate:\n" + CLAIM,
        "format: direct\nsft: {}\n" + CLAIM,
    ),
    "C2F322": Entry(
        "a hypothesis about a data set that is not evaluated",
        "The hypothesis names a test set, or without `dataset` means the training set's own, and `evaluate.datasets` "
        "has no such cell. After the run there would be nothing to judge it by.",
        CLAIM.replace("MAE,", "MAE, dataset: cmu-mosi,"),
        CLAIM.replace("MAE,", "MAE, dataset: icwsm2014-movie,"),
    ),
    "C2F323": Entry(
        "a metric that the data set does not have",
        "Each family of data sets has metrics of its own: Acc7 counts the steps of [-3, 3] and belongs to MOSI and "
        "MOSEI (METHOD 4.1), Acc3 belongs to SIMS (METHOD 4.2).",
        CLAIM.replace("MAE", "Acc3"),
        CLAIM.replace("MAE", "Acc7"),
    ),
    "C2F324": Entry(
        "a table of other models",
        "Tables I and II of the paper have models trained on MOSI, III to VII models trained on CH-SIMS (METHOD 9). "
        "Beside a model of another training set their numbers would invite a comparison that means nothing.",
        "data: {train: ch-sims}\ntables: [III, I]\n",
        "data: {train: ch-sims}\ntables: [III]\n",
    ),
    "C2F378": Entry(
        "imported predictions without a cell",
        "`evaluate.import` gives a model of another code base its row: predictions on a test set that is evaluated too, "
        "so that its clips are known and ours stand beside them. A model has one set of predictions for each, and is "
        "not called as a checkpoint of ours.",
        "evaluate: {checkpoints: [base], datasets: [icwsm2014-movie], import: [{name: base, dataset: icwsm2014-movie, "
        "predictions: panda-movie}]}\n",
        "evaluate: {checkpoints: [base], datasets: [icwsm2014-movie], import: [{name: panda-gpt, "
        "dataset: icwsm2014-movie, predictions: panda-movie}]}\n",
    ),
    "C2F379": Entry(
        "a table of your own that cannot be filled",
        "A column of a table names a test set and metrics of its family: Acc7 belongs to MOSI and MOSEI (METHOD 4.1), "
        "Acc3 to SIMS (METHOD 4.2). A table is known by its name, in the report and in the files that are committed.",
        "evaluate: {checkpoints: [base], datasets: [icwsm2014-movie]}\n"
        "tables: [{name: main, columns: [{dataset: ch-sims, metrics: [Acc7]}]}]\n",
        "evaluate: {checkpoints: [base], datasets: [icwsm2014-movie]}\n"
        "tables: [{name: main, columns: [{dataset: icwsm2014-movie, metrics: [Acc7]}]}]\n",
    ),
}
