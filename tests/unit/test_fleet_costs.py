"""What a deployment on many hosts takes is computed as Ansible does it."""

import pytest

from benchmarks.fleet import batches, deployment


@pytest.mark.parametrize('hosts, expected', [
    (1, [1]),
    (5, [1] * 5),
    (10, [1] * 10),
    (25, [1] + [2] * 12),
    (100, [1] + [10] * 9 + [9]),
])
def test_the_first_batch_is_one_host_and_the_others_a_tenth(hosts, expected):
    assert batches(hosts) == expected


@pytest.mark.parametrize('forks, cores, expected', [
    (10, 100, 11 * 6.0),  # all hosts of a batch wait side by side
    (5, 100, 6.0 + 10 * 12.0),  # half of them
    (10, 1, 6.0 + 9 * 10.0 + 9.0),  # Ansible's core is what they wait for
])
def test_a_batch_takes_the_longer_of_waiting_and_calculating(forks, cores, expected):
    assert deployment(100, forks, cores, wait=6.0, cpu=1.0) == pytest.approx(expected)
