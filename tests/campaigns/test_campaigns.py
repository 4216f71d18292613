"""Each campaign for a minute, or for as long as LIGHTREC_CAMPAIGN_SECONDS says; and tests of the campaigns' own rules.

The attempts are the same each time, so that a change fails for what it does and not by chance. ``run.py`` with another
``--seed``, and LIGHTREC_CAMPAIGN_FIRST, make attempts that nobody has made before; a failure names its attempt.
"""

from __future__ import annotations

import os

import pytest
from campaigns.campaign import Campaign, Outcome, run_campaign, sentence_problem
from campaigns.run import find_campaigns, summary, without_folders

CAMPAIGNS = find_campaigns()


@pytest.mark.campaign
@pytest.mark.parametrize("name", CAMPAIGNS)
def test_every_attempt_is_answered_right_or_refused(name, tmp_path):
    seconds = float(os.environ.get("LIGHTREC_CAMPAIGN_SECONDS", "60"))
    first = int(os.environ.get("LIGHTREC_CAMPAIGN_FIRST", "0"))
    report = run_campaign(CAMPAIGNS[name](), tmp_path, seconds, first=first)
    print(summary(name, report))
    assert report.attempts > 0 and report.total("other") == 0, summary(name, report)


def test_every_campaign_has_a_name_and_a_promise():
    for name, campaign in CAMPAIGNS.items():
        assert name == campaign.name and campaign.promise.endswith(".")


class Coin(Campaign):
    """Right, refused or wrong, by chance."""

    name = "coin"
    promise = "Heads."

    def prepare(self, folder):
        self.folder = folder
        self.closed = False

    def attempt(self, random):
        side = random.choice(["right", "refused", "several lines", "raises"])
        if side == "right":
            return Outcome.right("toss")
        if side == "raises":
            raise ZeroDivisionError("on the edge")
        return Outcome.refused("toss", "Row 3 has no side: toss again." if side == "refused" else "one\ntwo")

    def close(self):
        self.closed = True


def test_outcomes_are_counted_and_an_attempt_can_be_repeated_alone(tmp_path):
    campaign = Coin()
    report = run_campaign(campaign, tmp_path, seconds=60, attempts=200)
    assert campaign.closed and report.attempts == 200
    assert sum(report.total(result) for result in ("right", "refused", "other")) == 200
    assert min(report.total(result) for result in ("right", "refused", "other")) > 0
    assert {failure["kind"] for failure in report.failures} == {"toss", "ZeroDivisionError escaped"}
    failure = report.failures[0]
    again = run_campaign(Coin(), tmp_path, seconds=60, first=failure["number"], attempts=1)
    assert again.failures == [failure]


@pytest.mark.parametrize(
    ("message", "is_sentence"),
    [
        ("Row 3 of log.csv has no user: fill it in.", True),
        ("", False),
        ("two\nlines", False),
        ("<object at 0x7f00aabbccdd>", False),
        ("Traceback (most recent call last): ...", False),
    ],
)
def test_a_refusal_is_one_sentence(message, is_sentence):
    assert (sentence_problem(message) is None) == is_sentence


def test_a_stored_traceback_names_no_folder_of_the_machine():
    traceback = '  File "/a/user/lightrec/tests/campaigns/kills.py", line 3, in f\n  File "<string>", line 1\n'
    expected = '  File "campaigns/kills.py", line 3, in f\n  File "<string>", line 1\n'
    assert without_folders(traceback) == expected
