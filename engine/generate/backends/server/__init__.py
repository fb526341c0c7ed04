"""The `server` backend: completions and label scores from any server with an OpenAI-compatible `/v1/completions`.

    options.py   what a campaign says about the server
    client.py    HTTP: one address, one answer or the trouble there was
    pacing.py    when to try again, and when the server counts as lost
    limit.py     how many requests it gets at a time
    waiting.py   what waits, and what is sent together
    wire.py      what is asked, and how an untrusted answer is read
    scoring.py   the ways to get log probabilities of labels
    probe.py     what this server is and can do
    trials.py    the experiments by which that is found out
    asking.py    how a server is asked that is not known yet
    figures.py   its metrics page, looked at now and then
    dispatch.py  sends what waits, and deals with whatever comes of it
    backend.py   `ServerBackend`, what the pipeline calls

Nothing of it is imported here: aiohttp is heavy, and `options.py` is read by commands that only look.
"""
