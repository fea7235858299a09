"""Hints for hard samples in GRPO (METHOD 1.8, 6; paper, hint-guided sampling).

Modules, in the order in which a step uses them:

groups          where hinted answers go: layout of a step's answers over groups and ranks
answer_metrics  rewards and facts of the answers, by group, and their metrics
triggers        which samples are hard
schedule        which hard samples are hinted, and when
history         what happened to each sample so far
rollout_batch   which answers the update uses, and the loss on the tokens of a hint
trainer         all of it in TRL's trainer
build_policy    the policy of a spec, made once when a stage starts, and checks that hints are possible
"""
