"""Convert the Hugging Face folder to CTranslate2 with int8 weights and float32 for the rest. Runs on a CPU."""

from __future__ import annotations

import argparse
import shutil
import tempfile
from pathlib import Path

from ctranslate2.converters import TransformersConverter

#: What the converted folder holds; the tokenizer stays in the Hugging Face folder.
FILES = ("model.bin", "config.json", "vocabulary.json")


def convert(source: Path, target: Path) -> None:
    """Write the int8 conversion of `source` to `target`, replacing what is there."""
    with tempfile.TemporaryDirectory() as scratch:
        written = Path(scratch) / "ct2"
        TransformersConverter(str(source)).convert(str(written), quantization="int8_float32")
        target.mkdir(parents=True, exist_ok=True)
        for name in FILES:
            shutil.copyfile(written / name, target / name)


def main() -> None:
    """Run the conversion from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--source", type=Path, default=Path("engine/models/pocket/hf"))
    parser.add_argument("--target", type=Path, default=Path("engine/models/pocket/ct2"))
    arguments = parser.parse_args()
    convert(arguments.source, arguments.target)


if __name__ == "__main__":
    main()
