"""Measure a bundle: latency, throughput and size beside the quality it keeps."""
