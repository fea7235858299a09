"""Hints for hard samples in GRPO (METHOD 1.8, 6; paper, hint-guided sampling): judge, trigger, hint, train.

judged     what is true of each answer, over all ranks         triggers   when a sample is hard
policy     which hard samples are hinted, and when             groups     what becomes of their groups
forced     the loss on the tokens of a hint                    history    what happened to each sample so far
curves     what is logged                                      trainer    all of it in TRL's trainer
given      whether any step would hint
"""
