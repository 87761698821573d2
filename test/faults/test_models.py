# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""A thousand damaged model and engine files: refused in words before a native library sees a byte, or unchanged."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from faulty_messages import FLOATS, INTEGERS, NAMES, Mutation

from crack_perception.errors import UserError
from crack_perception.paths import models_directory
from crack_perception.recognition.backends.tensorrt.engine_cache import EngineSite, find_engine
from crack_perception.recognition.backends.tensorrt.engine_file import BadEngineFile, pack_engine, read_engine, read_key
from crack_perception.recognition.models import LoadedModel, inference_sha256, load_model, write_graph

FILES = int(os.environ.get("CRACK_PERCEPTION_FAULT_FILES", "1000"))
# Shares of the files: the card's bytes, its values, the packed graph, the plain graph, engines.
KINDS = ("card_bytes", "card_values", "packed_graph", "plain_graph", "engine")
SITE = EngineSite("ab" * 32, 256, 3, "10.3.0", "Orin", "8.7")
KEY = SITE.key("fp16", 45)
ENGINE = random.Random(1).randbytes(5000)
IN_CHILD = 150
LIMIT_S = 300


def computing_parts(model: LoadedModel) -> tuple[Any, ...]:
    """Everything of a model that changes what it computes."""
    return model.name, model.graph, model.sha256, model.tile_shape, model.threshold, model.wide_edge_px


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A whole model of a packed graph, like the shipped ones but with a short card."""
    path = tmp_path / "model"
    path.mkdir()
    card = json.loads((models_directory() / "nano" / "card.json").read_text(encoding="utf-8"))
    kept = ("name", "files", "bytes_total", "graph_sha256", "tile_px", "threshold", "input", "severity")
    card = {name: card[name] for name in kept}
    card["inference_sha256"] = inference_sha256(card)
    (path / "card.json").write_text(json.dumps(card, indent=2), encoding="utf-8")
    (path / "model.onnx.xz").write_bytes((models_directory() / "nano" / "model.onnx.xz").read_bytes())
    return path


def plain(folder: Path) -> None:
    """Unpack the graph of a model."""
    card = json.loads((folder / "card.json").read_text(encoding="utf-8"))
    card |= write_graph(folder, load_model(str(folder)).graph, compact=False)
    card["inference_sha256"] = inference_sha256(card)
    (folder / "card.json").write_text(json.dumps(card, indent=2), encoding="utf-8")


def spoil_value(card: Any, numbers: random.Random) -> str:
    """Change one value of a card, at any depth."""
    values = (*FLOATS, *INTEGERS, *NAMES, None, True, [], {}, [[]], {"model.onnx": "0"}, "../model.onnx", "\ud800")
    owner = card
    while True:
        key = numbers.choice(list(owner) if isinstance(owner, dict) else list(range(len(owner))))
        if isinstance(owner[key], (dict, list)) and owner[key] and numbers.random() < 0.8:
            owner = owner[key]
            continue
        kind = numbers.randrange(3)
        if kind == 0 and isinstance(owner, dict):
            owner[numbers.choice(NAMES)[:100]] = owner.pop(key)
        elif kind == 1 and isinstance(owner, dict):
            del owner[key]
        else:
            owner[key] = numbers.choice(values)
        return str(key)


@pytest.mark.parametrize("kind", KINDS[:-1])
def test_load_model_damaged_file_refused_or_identical(folder: Path, kind: str) -> None:
    if kind == "plain_graph":
        plain(folder)
    name = {"packed_graph": "model.onnx.xz", "plain_graph": "model.onnx"}.get(kind, "card.json")
    path, good = folder / name, (folder / name).read_bytes()
    whole = computing_parts(load_model(str(folder)))
    refused, failures = 0, []
    for seed in range(FILES // len(KINDS)):
        numbers = random.Random(f"{kind}:{seed}")
        mutation = Mutation(numbers)
        if kind == "card_values":
            card = json.loads(good)
            what = spoil_value(card, numbers)
            path.write_text(json.dumps(card), encoding="utf-8")
        else:
            path.write_bytes(mutation.damaged(good))
            what = "; ".join(mutation.changes)
        try:
            parts = computing_parts(load_model(str(folder)))
        except UserError as error:
            refused += 1
            if not error.remedy or str(folder) not in error.problem or len(str(error)) > 1000:
                failures.append(f"{kind}:{seed} [{what}]: unhelpful: {error!s:.400}")
        except Exception as error:
            failures.append(f"{kind}:{seed} [{what}]: {type(error).__name__}: {error!s:.200}")
        else:
            if parts != whole:
                failures.append(f"{kind}:{seed} [{what}]: a changed model was accepted")
    path.write_bytes(good)
    assert computing_parts(load_model(str(folder))) == whole
    assert not failures, f"{len(failures)} failed:\n" + "\n".join(failures[:10])
    assert refused > 0


def test_read_engine_damaged_file_refused_or_identical(tmp_path: Path) -> None:
    packed = pack_engine(KEY, ENGINE)
    path = tmp_path / KEY.file_name
    refused, failures = 0, []
    for seed in range(FILES // len(KINDS)):
        numbers = random.Random(f"engine:{seed}")
        mutation = Mutation(numbers)
        # Half of the faults hit the header, which is a twelfth of the file.
        head = len(packed) - len(ENGINE) if numbers.random() < 0.5 else len(packed)
        path.write_bytes(mutation.damaged(packed[:head]) + packed[head:])
        try:
            engine = read_engine(path, KEY)
        except BadEngineFile as error:
            refused += 1
            found = find_engine(tmp_path, SITE)
            if not str(error) or not isinstance(found, str):
                failures.append(f"engine:{seed} {mutation.changes}: {found!r:.100}")
        except Exception as error:
            failures.append(f"engine:{seed} {mutation.changes}: {type(error).__name__}: {error}")
        else:
            if engine != ENGINE:
                failures.append(f"engine:{seed} {mutation.changes}: a changed engine was accepted")
    assert not failures, f"{len(failures)} failed:\n" + "\n".join(failures[:10])
    assert refused > 0


def test_read_key_deeply_nested_header_refused(tmp_path: Path) -> None:
    text = b"[" * 4096
    path = tmp_path / "deep.engine"
    path.write_bytes(pack_engine(KEY, ENGINE)[:8] + len(text).to_bytes(4, "little") + text)
    with pytest.raises(BadEngineFile, match="unreadable header"):
        read_key(path)


def test_load_model_deeply_nested_card_refused(folder: Path) -> None:
    (folder / "card.json").write_text("[" * 100_000, encoding="utf-8")
    with pytest.raises(UserError, match=r"card\.json"):
        load_model(str(folder))


CHILD = """
import hashlib, json, random, sys
from pathlib import Path
from crack_perception.errors import UserError
from crack_perception.recognition.backends.protocol import InferenceFailed
from crack_perception.recognition.backends.selection import open_backend
from crack_perception.recognition.models import load_model
from faulty_messages import Mutation
import numpy as np

folder, cases = Path(sys.argv[1]), int(sys.argv[2])
card = json.loads((folder / "card.json").read_text(encoding="utf-8"))
good = (folder / "model.onnx").read_bytes()
for seed in range(cases):
    print("case", seed, flush=True)
    bad = Mutation(random.Random(f"child:{seed}")).damaged(good)
    (folder / "model.onnx").write_bytes(bad)
    (folder / "card.json").write_text(json.dumps(card | {"files": {"model.onnx": hashlib.sha256(bad).hexdigest()}}))
    try:
        model = load_model(str(folder))
        backend = open_backend("onnxruntime", model, 1)
        scores = backend.run(np.full((2, *model.tile_shape), 90, np.uint8))
        backend.close()
    except (UserError, InferenceFailed) as error:
        print("refused", flush=True)
    else:
        values = np.concatenate([scores.crack_score, scores.wide_score, scores.log_width_px, scores.log_width_sigma])
        assert np.isfinite(values).all()
        print("ran", flush=True)
print("end", flush=True)
"""


def test_open_backend_damaged_graph_that_its_card_lists_ends_no_process(tiny_model: Path, tmp_path: Path) -> None:
    """A graph that was damaged before its hash was taken reaches ONNX Runtime, which must not end the process."""
    folder = tmp_path / "tiny"
    folder.mkdir()
    for path in tiny_model.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    paths = [str(Path(__file__).parents[1] / "support"), *filter(None, [os.environ.get("PYTHONPATH")])]
    child = subprocess.run(
        [sys.executable, "-c", CHILD, str(folder), str(IN_CHILD)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)},
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    lines = child.stdout.split("\n")
    assert child.returncode == 0 and "end" in lines, f"{lines[-3:]} {child.stderr[-500:]}"
    assert lines.count("refused") > 0
