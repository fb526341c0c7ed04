"""What a GPU gets to do: `python -m benchmarks.gpu PART … --out FILE`, on a host with vLLM and one GPU.

Parts measure one thing each and append JSON lines to FILE; `python -m benchmarks.gpu table FILE` shows them in tables.
"""
