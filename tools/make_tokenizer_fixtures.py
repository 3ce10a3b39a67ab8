#!/usr/bin/env python3
"""Makes tests/data/text/corpus.json: texts, and the ids and texts that Hugging Face's tokenizers make of them.

For the shipped model's vocabulary and, where shared/tokenizers is there (LATTICE_SHARED names the folder), for
Qwen3's and that of Qwen3.5's GGUF. Needs tokenizers (0.23.3) and gguf (0.19) from PyPI. Deterministic.
"""

import json

import tokenizers

from tokenizer.corpus import corpus
from tokenizer.reference import ROOT, Reference, vocabularies

TARGET = ROOT / "tests" / "data" / "text" / "corpus.json"


def main():
    references = {name: Reference(text) for name, text in vocabularies().items()}
    if len(references) != 3:
        raise SystemExit(f"only {', '.join(references)}: set LATTICE_SHARED")
    cases = []
    for name, data in corpus():
        case = {"name": name, "bytes": data.hex()}
        for vocabulary, reference in references.items():
            ids = reference.encode(data)
            case[vocabulary] = {"ids": ids, "text": reference.decode(ids)}
        cases.append(case)
    TARGET.parent.mkdir(parents=True, exist_ok=True)
    header = {"made_with": f"tokenizers {tokenizers.__version__}"}
    lines = ",\n".join(json.dumps(case, ensure_ascii=True, separators=(",", ":")) for case in cases)
    TARGET.write_text(f'{json.dumps(header)[:-1]}, "texts": [\n{lines}\n]}}\n', "utf-8")
    print(f"{len(cases)} texts, {TARGET.stat().st_size} bytes")


if __name__ == "__main__":
    main()
