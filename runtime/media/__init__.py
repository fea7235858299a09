"""Clips as media.

speaker.py         a rating -> a drawn speaker with a voice, for data sets without recordings
decode.py          a file -> frames and sound as arrays, and `probe`
decoded_cache.py   decoded clips on disk, by content
prefetch.py        processes that decode clips before they are needed
features.py        a decoded clip -> the inputs of a student's towers
measure.py         a decoded clip -> pitch, level, mouth and brows
"""
