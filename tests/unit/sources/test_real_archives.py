"""Every archive of many writers beside the checkout: how many documents, how many rejects, and of which code.

Documents and rejects together are the responses, revisits, resources and conversions that PROVENANCE.md counts
(without the resources that are wget's own logs), and one for each broken stretch.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from spark_prox.sources.warc.archive import read_archive

TABLE = """
chatnoir-eu__chatnoir-resiliparse/clipped.warc.gz
    ARCHIVE_TRUNCATED=1
chatnoir-eu__chatnoir-resiliparse/clueweb-quirk.warc.gz
    documents=29
chatnoir-eu__chatnoir-resiliparse/warcfile.warc.gz
    documents=16
commoncrawl__ia-web-commons/html-lang-attribute.warc
    EMPTY_TEXT=5
commoncrawl__ia-web-commons/link-extraction-test.warc
    EMPTY_TEXT=1 documents=8
commoncrawl__ia-web-commons/meta-itemprop.warc
    documents=1
commoncrawl__ia-web-commons/text-extraction-test.warc
    RECORD_NOT_TEXT=1 documents=1
commoncrawl__ia-web-commons/title-extraction-embedded-SVG.warc
    documents=1
commoncrawl__whirlwind-python/whirlwind.warc.gz
    documents=1
commoncrawl__whirlwind-python/whirlwind.warc.wat.gz
    nothing
commoncrawl__whirlwind-python/whirlwind.warc.wet.gz
    documents=1
crate__crate-commoncrawl/example.wet.gz
    documents=2
eugeneware__warc/CC-MAIN-20140820021334-00006-ip-10-180-136-8.ec2.internal.warc.gz
    RECORD_HTTP_ERROR=1 documents=3
eugeneware__warc/CC-MAIN-20140820021334-00006-ip-10-180-136-8.ec2.internal.warc.wat
    nothing
eugeneware__warc/CC-MAIN-20140820021334-00006-ip-10-180-136-8.ec2.internal.warc.wet
    documents=3
iipc__jwarc/cc.warc.gz
    documents=1
jeffharwell__CommonCrawlScalaTools/appended_zip_fragment_unexpected_eof.wet.gz
    ARCHIVE_TRUNCATED=1 documents=15
jeffharwell__CommonCrawlScalaTools/corrupt_starts_with_conversion.wet.gz
    documents=5
jeffharwell__CommonCrawlScalaTools/corrupt_two_warcinfo.wet.gz
    documents=5
jeffharwell__CommonCrawlScalaTools/corrupt_warcconversion_1.wet.gz
    documents=5
jeffharwell__CommonCrawlScalaTools/corrupt_warcconversion_2.wet.gz
    documents=1
jeffharwell__CommonCrawlScalaTools/corrupt_warcinfo_1.wet.gz
    documents=5
jeffharwell__CommonCrawlScalaTools/file_and_wet_headers_only.wet.gz
    ARCHIVE_TRUNCATED=1
jeffharwell__CommonCrawlScalaTools/file_headers_only.wet.gz
    nothing
jeffharwell__CommonCrawlScalaTools/filter_test_1.wet.gz
    documents=25
jeffharwell__CommonCrawlScalaTools/fragment1_asthma_incomplete_last.wet.gz
    ARCHIVE_TRUNCATED=1 RECORD_BAD_LENGTH=1
jeffharwell__CommonCrawlScalaTools/fragment1_incomplete_last.wet.gz
    ARCHIVE_TRUNCATED=1 documents=1
jeffharwell__CommonCrawlScalaTools/fragment2_no_header.wet.gz
    ARCHIVE_CORRUPT=1 ARCHIVE_TRUNCATED=1 documents=1
jeffharwell__CommonCrawlScalaTools/fragment3.wet.gz
    documents=5
ukwa__webarchive-discovery/BL-20140325121225068-00000-32090~opera~8443.warc.gz
    RECORD_HTTP_STATUS=5 RECORD_NOT_TEXT=26 documents=34
ukwa__webarchive-discovery/BL-20140325122341434-00000-32090~opera~8443.warc.gz
    RECORD_HTTP_STATUS=1 RECORD_NOT_TEXT=3 RECORD_REVISIT=55 documents=6
ukwa__webarchive-discovery/flashfrozen-jwat-recompressed.warc.gz
    RECORD_NOT_TEXT=37 documents=2
webrecorder__warcio/bad.arc
    EMPTY_TEXT=1 RECORD_BAD_HEADER=3
webrecorder__warcio/example-bad-non-chunked.warc.gz
    RECORD_REVISIT=1 documents=1
webrecorder__warcio/example-bad.warc.gz.bad
    RECORD_HTTP_STATUS=1 RECORD_REVISIT=1 documents=1
webrecorder__warcio/example-digest.warc
    nothing
webrecorder__warcio/example-iana.org-chunked.warc
    documents=1
webrecorder__warcio/example-resource.warc.gz
    documents=1
webrecorder__warcio/example-space-in-target-uri.warc.gz
    RECORD_NOT_TEXT=1
webrecorder__warcio/example-space-in-url.arc
    documents=1
webrecorder__warcio/example-trunc.warc
    RECORD_BAD_LENGTH=1
webrecorder__warcio/example-wget-bad-target-uri.warc.gz
    documents=1
webrecorder__warcio/example-wrong-chunks.warc.gz
    documents=1
webrecorder__warcio/example.arc
    documents=1
webrecorder__warcio/example.arc.gz
    documents=1
webrecorder__warcio/example.warc
    RECORD_REVISIT=1 documents=1
webrecorder__warcio/example.warc.gz
    RECORD_REVISIT=1 documents=1
webrecorder__warcio/post-test.warc.gz
    RECORD_NOT_TEXT=3
"""
LINES = TABLE.strip().splitlines()
COUNTS = dict(zip(LINES[::2], (line.strip() for line in LINES[1::2]), strict=True))


@pytest.fixture(scope="module")
def archives(shared_data: Path) -> Path:
    folder = shared_data / "archives"
    if not folder.is_dir():
        pytest.skip("../shared/data/archives is not there")
    return folder


@pytest.mark.parametrize("name", COUNTS)
def test_a_real_archive_gives_its_documents_and_its_rejects(archives: Path, name: str) -> None:
    path = archives / name
    if not path.exists():
        pytest.skip(f"{name} is not there")
    with path.open("rb") as stream:
        rows = list(read_archive(stream))
    counts = Counter(row.reject_code.value if row.reject_code else "documents" for row in rows)
    assert (" ".join(f"{code}={counts[code]}" for code in sorted(counts)) or "nothing") == COUNTS[name]
    assert all((row.text is None) != (row.reject_code is None) for row in rows)


def test_no_archive_is_missing_from_the_table(archives: Path) -> None:
    there = {str(path.relative_to(archives)) for path in archives.rglob("*") if path.is_file() and path.suffix != ".md"}
    assert there <= set(COUNTS)
