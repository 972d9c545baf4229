"""Push an exported data set to a hub, through `huggingface_hub`: Hugging Face's, or the one that HF_ENDPOINT names.

The token is the library's own affair: HF_TOKEN, or what `hf auth login` stored. Knows no format.
"""

from __future__ import annotations

import os
from pathlib import Path

from spark_prox.errors import ConfigError, SetupError, reason_of

__all__ = ["check_push", "push_folder"]

_PATTERNS = ["train/*", "validation/*", "README.md", "manifest.json", "SHA256SUMS"]


def check_push(folder: Path | None) -> None:
    """Find out before the export whether its files can be pushed afterwards.

    Raises:
        ConfigError: EXPORT_PUSH_REMOTE.
        SetupError: EXPORT_NO_HUB.
    """
    if folder is None:
        raise ConfigError(
            "EXPORT_PUSH_REMOTE",
            "Only an export in a folder of the driver's machine can be pushed.",
            "Export into a local folder, or leave --push-to out and upload the files from where they are.",
        )
    try:
        import huggingface_hub  # noqa: F401
    except ImportError:
        raise SetupError(
            "EXPORT_NO_HUB", "The package huggingface_hub is not installed.", "pip install huggingface_hub"
        ) from None


def push_folder(folder: Path, repository: str) -> str:
    """Upload an export as a data set in one commit; a repository that is not there is created, private.

    Returns:
        The commit's address.

    Raises:
        SetupError: EXPORT_PUSH_FAILED.
    """
    from huggingface_hub import HfApi

    api = HfApi(endpoint=os.environ.get("HF_ENDPOINT") or None)
    try:
        api.create_repo(repository, repo_type="dataset", private=True, exist_ok=True)
        commit = api.upload_folder(
            repo_id=repository,
            folder_path=folder,
            repo_type="dataset",
            commit_message="Export of spark_prox",
            allow_patterns=_PATTERNS,
        )
    except Exception as error:  # noqa: BLE001 - the library raises its own, httpx's and the system's
        raise SetupError(
            "EXPORT_PUSH_FAILED",
            f"The data set could not be pushed to {repository!r} ({reason_of(error, most=200)}).",
            "The export itself is done. Check HF_TOKEN, HF_ENDPOINT and the name; the same command pushes again.",
        ) from None
    return str(commit.commit_url)
