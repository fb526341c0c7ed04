"""Stands in for vLLM at the GPU's edge: `vllm serve` of the pocket model, computed by CTranslate2 on the CPU.

Everything around it is real: the process, its log as vLLM writes it, the Unix socket, HTTP, the model's text. What it
does besides is said by environment variables: `STANDIN_LOAD_S` (seconds until it answers), `STANDIN_FAILS` (an error to
end with instead), `STANDIN_STUBBORN` (it does not heed SIGINT and SIGTERM).
"""

__version__ = "0.33.0"
