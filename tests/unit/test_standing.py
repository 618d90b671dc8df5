"""How a restart stands, in words."""

import pytest

from supervisor_restarter.commands.standing import awaited, progress_line, summary

URL = 'http://127.0.0.1:8003/health'


def info(**changes):
    base = {'group': 'web', 'state': 'RESTARTING', 'total': 10, 'waiting': 0, 'stopping': 0,
            'starting': 0, 'restarted': 0, 'failed': 0, 'removed': 0, 'surging': 0,
            'elapsed': 1.25, 'awaiting': [], 'faults': []}
    return dict(base, **changes)


def waits(*names, seen=URL + ' answered 503'):
    return [{'name': name, 'awaited': URL, 'seen': seen} for name in names]


@pytest.mark.parametrize('changes, text', [
    ({'waiting': 10}, 'web [....................] 10 waiting, 1.2 s'),
    ({'waiting': 3, 'starting': 2, 'restarted': 5},
     'web [##########..........] 3 waiting, 2 starting, 5 restarted, 1.2 s'),
    ({'restarted': 8, 'failed': 1, 'removed': 1},
     'web [####################] 8 restarted, 1 failed, 1 removed, 1.2 s'),
    ({'waiting': 7, 'starting': 1, 'restarted': 2, 'surging': 2},
     'web [####................] 7 waiting, 1 starting, 2 restarted, 2 surging, 1.2 s'),
    ({'waiting': 9, 'starting': 1, 'awaiting': waits('web_3', seen='refused')},
     'web [....................] 9 waiting, 1 starting, 1.2 s, awaiting web_3: ' + URL
     + ': refused'),
])
def test_the_line_shows_group_bar_counts_seconds_and_what_is_awaited(changes, text):
    assert progress_line(info(**changes), 120) == text


NOTIFIES = [{'name': 'web_3', 'awaited': 'notify', 'seen': 'has not sent READY=1'}]


@pytest.mark.parametrize('awaiting, width, text', [
    (waits('web_3'), 92, 'web_3: %s answered 503' % URL),
    (waits('web_3', 'web_4', 'web_5'), 103, 'web_3 and 2 more: %s answered 503' % URL),
    (waits('web_3', 'web_4', 'web_5'), 102, 'web_3 and 2 more: answered 503'),
    (waits('web_3', 'web_4', seen='refused'), 80, 'web_3 and 1 more: refused'),
    (waits('web_3', seen=''), 76, 'web_3: http://127.0.0.1:8003/hea'),
    (NOTIFIES, 76, 'web_3: has not sent READY=1'),
    ([dict(NOTIFIES[0], phase='leaving', limit=9.0, awaited='', seen='')], 76,
     'web_3: leaving, up to 9 s'),
])
def test_the_bar_and_then_the_address_make_room_for_what_is_awaited(awaiting, width, text):
    line = progress_line(info(waiting=7, starting=3, awaiting=awaiting), width)
    assert line == 'web 7 waiting, 3 starting, 1.2 s, awaiting ' + text


@pytest.mark.parametrize('width', [0, 1, 2, 20, 79])
def test_the_line_is_narrower_than_the_terminal(width):
    assert len(progress_line(info(waiting=10), width)) <= max(0, width - 1)
    assert len(progress_line(info(starting=10, awaiting=waits('a', 'b')), width)) <= max(
        0, width - 1)


NOTHING = {'name': 'web_3', 'awaited': '', 'seen': '', 'seconds': 3.0}


@pytest.mark.parametrize('entry, text', [
    ({'awaited': URL, 'seen': URL + ' answered 503'}, URL + ' answered 503'),
    ({'awaited': URL, 'seen': 'refused'}, URL + ': refused'),
    ({'awaited': 'notify', 'seen': 'has not sent READY=1'}, 'notify: has not sent READY=1'),
    ({'awaited': URL, 'seen': ''}, URL),
    (dict(NOTHING, phase='leaving', limit=3600.0), 'leaving, up to 3,600 s'),
    (dict(NOTHING, phase='leaving', limit=0.0), 'leaving'),
    (dict(NOTHING, phase='starting', limit=65.0), 'starting'),
    (dict(NOTHING, phase='ready', seconds=4.2, limit=10.0), 'ready for 4 of 10 s'),
    (dict(NOTHING, phase='starting', awaited=URL, seen='refused'), URL + ': refused'),
])
def test_what_is_awaited_is_named_once_with_what_was_seen(entry, text):
    assert awaited(entry) == text


@pytest.mark.parametrize('changes, text', [
    ({'state': 'IDLE', 'total': 0, 'elapsed': 0.0}, 'IDLE'),
    ({'waiting': 3, 'restarted': 7, 'surging': 1},
     'RESTARTING, 3 waiting, 7 restarted, 1 surging, 1.2 seconds'),
    ({'state': 'FINISHED', 'failed': 10}, 'FINISHED, 10 failed, 1.2 seconds'),
])
def test_the_summary_has_state_counts_and_seconds(changes, text):
    assert summary(info(**changes)) == text
