"""Amazon Reviews 2023 (McAuley Lab), one category at a time: the publisher's own 5-core ratings and its metadata.

No checksum is published. The first download is trusted; its SHA-256 is written to dataset.json under
"downloads" for comparison.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lightrec.data.dataset import Dataset
from lightrec.data.prepare import prepare
from lightrec.errors import DataError
from lightrec.files.atomic import sha256_file
from lightrec.files.download import Progress, download

BASE = "https://mcauleylab.ucsd.edu/public_datasets/data/amazon_2023"
TERMS = "McAuley Lab: for research; please cite arXiv 2403.03952."
CATEGORIES = (
    *("All_Beauty", "Amazon_Fashion", "Appliances", "Arts_Crafts_and_Sewing", "Automotive", "Baby_Products"),
    *("Beauty_and_Personal_Care", "Books", "CDs_and_Vinyl", "Cell_Phones_and_Accessories"),
    *("Clothing_Shoes_and_Jewelry", "Digital_Music", "Electronics", "Gift_Cards", "Grocery_and_Gourmet_Food"),
    *("Handmade_Products", "Health_and_Household", "Health_and_Personal_Care", "Home_and_Kitchen"),
    *("Industrial_and_Scientific", "Kindle_Store", "Magazine_Subscriptions", "Movies_and_TV", "Musical_Instruments"),
    *("Office_Products", "Patio_Lawn_and_Garden", "Pet_Supplies", "Software", "Sports_and_Outdoors"),
    *("Subscription_Boxes", "Tools_and_Home_Improvement", "Toys_and_Games", "Video_Games"),
)
"""The publisher's names; "Video_Games" is fetched as ``amazon-2023/Video_Games``."""


def get_amazon_2023(category: str, out: str | Path, *, progress: Progress | None = None, **options: Any) -> Dataset:
    """Fetch a category's ratings and metadata and prepare them into ``out``.

    Args:
        category: one of :data:`CATEGORIES`; case, spaces and hyphens do not count.
        out: the folder to write.
        progress: called as the files arrive.
        options: passed to :func:`~lightrec.data.prepare.prepare`.

    Raises:
        DataError: for an unknown category.
        DownloadError: if a file cannot be fetched.
    """
    plain = {name.lower(): name for name in CATEGORIES}
    found = plain.get(category.lower().replace("-", "_").replace(" ", "_"))
    if found is None:
        raise DataError(f"amazon-2023 has no category {category!r} (it has: {', '.join(CATEGORIES)}).")
    urls = (f"{BASE}/benchmark/5core/rating_only/{found}.csv.gz", f"{BASE}/raw/meta_categories/meta_{found}.jsonl.gz")
    ratings, items = (download(url, None, progress=progress) for url in urls)
    details = {
        "origin": urls[0],
        "terms": TERMS,
        "downloads": {url: sha256_file(file) for url, file in zip(urls, (ratings, items), strict=True)},
    }
    options.setdefault("name", f"amazon-2023-{found}")
    return prepare(ratings, out, items=items, details=details, **options)
