"""Clients whose packages do not go with ours: installed beside, and run in a process of their own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CLIENTS = ROOT / ".heliostat" / "clients"

OLD_OPENAI = """
import sys, openai
assert openai.__version__.startswith("1."), openai.__version__
client = openai.OpenAI(base_url=sys.argv[1] + "/v1", api_key="unused", max_retries=0)
asked = dict(model="spark-chat", messages=[{"role": "user", "content": "What is 2 + 3?"}], temperature=0)
whole = client.chat.completions.create(**asked)
assert whole.usage.completion_tokens >= 1
pieces = client.chat.completions.create(**asked, stream=True)
assert "".join(c.choices[0].delta.content or "" for c in pieces if c.choices) == whole.choices[0].message.content
assert client.completions.create(model="spark-chat", prompt="Once", max_tokens=4).choices[0].text
vector = client.embeddings.create(model="all-MiniLM-L6-v2", input="a mirror").data[0].embedding
assert len(vector) == 384
response = client.responses.create(model="spark-chat", input="Say hello.")
assert response.status == "completed" and response.output_text
assert client.responses.retrieve(response.id).id == response.id
client.responses.delete(response.id)
try:
    client.chat.completions.create(model="nobody", messages=asked["messages"])
except openai.NotFoundError as error:
    assert error.code == "model_not_found", error.code
else:
    raise AssertionError("an unknown model was answered")
print("ok")
"""

LITELLM = """
import sys, litellm
litellm.telemetry = False
place = dict(api_base=sys.argv[1] + "/v1", api_key="unused", num_retries=0)
asked = dict(model="openai/spark-chat", messages=[{"role": "user", "content": "What is 2 + 3?"}], temperature=0)
whole = litellm.completion(**asked, **place)
pieces = litellm.completion(**asked, **place, stream=True)
assert "".join(c.choices[0].delta.content or "" for c in pieces) == whole.choices[0].message.content
vector = litellm.embedding(model="openai/all-MiniLM-L6-v2", input=["a mirror"], encoding_format="float", **place)
assert len(vector.data[0]["embedding"]) == 384
place["api_base"] = sys.argv[1]
said = litellm.completion(**{**asked, "model": "anthropic/spark-chat"}, max_tokens=16, **place)
assert said.choices[0].message.content
print("ok")
"""


@pytest.mark.parametrize(
    ("package", "script"),
    [
        pytest.param("openai==1.109.1", OLD_OPENAI, id="openai 1"),
        pytest.param("litellm==1.106.2", LITELLM, id="litellm"),
    ],
)
def test_it_works_unchanged(cluster, package: str, script: str) -> None:
    folder = installed(package)
    env = {
        **{name: text for name, text in os.environ.items() if not name.startswith(("HELIOSTAT", "RAY_"))},
        "PYTHONPATH": str(folder),
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",  # or it asks the network for prices as it is imported
    }
    done = subprocess.run(
        [sys.executable, "-c", script, cluster.url],
        cwd=folder,
        env=env,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    assert done.stdout.strip().endswith("ok")


def installed(package: str) -> Path:
    """The folder of a package with all that it needs; installed by the first test that asks."""
    folder = CLIENTS / package
    if not (folder / "installed").exists():
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--target", str(folder), package]
        done = subprocess.run(command, capture_output=True, text=True, timeout=280)
        if done.returncode != 0:
            pytest.skip(f"{package} cannot be installed here: {done.stderr.strip().splitlines()[-1]}")
        (folder / "installed").touch()
    return folder
