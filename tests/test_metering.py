"""Requests are counted exactly, by any number of threads, and priced at list prices."""

import threading

import pytest

from mr.metering import Meter
from mr.prices import price_usd


def test_no_request_is_lost_or_counted_twice():
    """Whatever is counted meanwhile, the pieces that are taken add up."""
    meter, taken = Meter(), []

    def ask():
        for _ in range(5_000):
            meter.count("s3.GetObject")

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        taken.append(meter.take().get("s3.GetObject", 0))
    for thread in threads:
        thread.join()
    meter.add({"s3.GetObject": 7})
    taken.append(meter.take()["s3.GetObject"])

    assert sum(taken) == 8 * 5_000 + 7
    assert meter.take() == {}


@pytest.mark.parametrize(
    ("requests", "usd"),
    [
        ({}, 0),
        ({"s3.PutObject": 1000}, 0.005),
        ({"s3.ListObjectsV2": 1000, "s3.CompleteMultipartUpload": 1000}, 0.01),
        ({"s3.GetObject": 1000, "s3.HeadObject": 1000}, 0.0008),
        ({"s3.DeleteObject": 10**9, "s3.DeleteObjects": 10**9}, 0),
        ({"sqs.ReceiveMessage": 10**6, "sqs.SendMessageBatch": 10**6}, 0.8),
    ],
)
def test_requests_have_their_list_price(requests, usd):
    """What a thousand of S3 cost, or a million of SQS."""
    assert price_usd(requests) == pytest.approx(usd)
