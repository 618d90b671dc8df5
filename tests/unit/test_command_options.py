"""What is wrong with a command line is one sentence, for both commands, and nothing is called."""

import io

import pytest

from supervisor_restarter.commands import output
from supervisor_restarter.commands.options import (
    CANCEL,
    INFO,
    OPTIONS,
    RESTART,
    UPDATE,
    explanations,
    parse,
)
from tests.unit.test_supervisorctl_restart_group import FakeProxy, run

SECONDS = ': not a number of seconds'
WRONG = [
    # action, options, sentence; RESTART, UPDATE, INFO, CANCEL are what the command calls them
    (RESTART, '--min-ready-seconds soon', "invalid value for --min-ready-seconds 'soon'" + SECONDS),
    (UPDATE, '--min-ready-seconds soon', "invalid value for --min-ready-seconds 'soon'" + SECONDS),
    (RESTART, '--min-ready-seconds=', "invalid value for --min-ready-seconds ''" + SECONDS),
    (RESTART, '--timeout 5s', "invalid value for --timeout '5s'" + SECONDS),
    (RESTART, '--stagger-factor x', "invalid value for --stagger-factor 'x': not a whole number"),
    (RESTART, '--only-running=yes', 'option --only-running must not have an argument'),
    (RESTART, '--resume=web', 'option --resume must not have an argument'),
    (RESTART, '--queue=1', 'option --queue must not have an argument'),
    (RESTART, '--supersede=1', 'option --supersede must not have an argument'),
    (RESTART, '--json=yes', 'option --json must not have an argument'),
    (UPDATE, '--dry-run=1', 'option --dry-run must not have an argument'),
    (RESTART, '--re', 'option --re not a unique prefix'),
    (RESTART, '--max 1', 'option --max not a unique prefix'),
    (RESTART, '--onlyrunning', 'option --onlyrunning not recognized'),
    (RESTART, '--only_running', 'option --only_running not recognized'),
    (RESTART, '--process web_0', 'option --process not recognized'),
    (RESTART, '-z', 'option -z not recognized'),
    (RESTART, '--queue --supersede', '--queue and --supersede exclude each other'),
    (UPDATE, '--supersede --queue', '--queue and --supersede exclude each other'),
    (UPDATE, '--resume', '--resume goes with RESTART, not with UPDATE'),
    (UPDATE, '--reread', '--reread goes with RESTART, not with UPDATE'),
    (RESTART, '--dry-run', '--dry-run goes with UPDATE, not with RESTART'),
    (INFO, '--resume', '--resume goes with RESTART, not with INFO'),
    (INFO, '--only-running', '--only-running goes with RESTART and UPDATE, not with INFO'),
    (INFO, '--queue', '--queue goes with RESTART and UPDATE, not with INFO'),
    (INFO, '--supersede', '--supersede goes with RESTART and UPDATE, not with INFO'),
    (INFO, '--min-ready-seconds 3', '--min-ready-seconds goes with RESTART and UPDATE, not with '
                                    'INFO'),
    (INFO, '--dry-run', '--dry-run goes with UPDATE, not with INFO'),
    (INFO, '--follow --no-wait', '--no-wait goes with RESTART and UPDATE, not with INFO'),
    (CANCEL, '--follow', '--follow goes with INFO, not with CANCEL'),
    (CANCEL, '--quiet', '--quiet goes with RESTART and UPDATE and INFO, not with CANCEL'),
    (CANCEL, '--only-running', '--only-running goes with RESTART and UPDATE, not with CANCEL'),
    (CANCEL, '--resume', '--resume goes with RESTART, not with CANCEL'),
    (UPDATE, '--follow', '--follow goes with INFO, not with UPDATE'),
    (RESTART, '--timeout -- 3', "invalid value for --timeout '--'" + SECONDS),
]
CONSOLE = {RESTART: 'a restart', UPDATE: '--update', INFO: '--info', CANCEL: '--cancel'}
SUPERVISORCTL = {RESTART: 'restartgroup', UPDATE: 'updategroup', INFO: 'restartinfo',
                 CANCEL: 'cancelrestart'}


@pytest.mark.parametrize('action, options, sentence', WRONG)
def test_a_wrong_option_is_one_sentence_for_both_commands(capsys, action, options, sentence):
    for name in SUPERVISORCTL:
        sentence = sentence.replace(name.upper(), '{%s}' % name)
    with pytest.raises(ValueError) as wrong:
        parse(['web', *options.split()], action)
    assert str(wrong.value) == sentence.format(**SUPERVISORCTL)
    proxy = FakeProxy()
    words = [*options.split(), *([CONSOLE[action]] if action != RESTART else [])]
    status, told, error = run(capsys, proxy, 'web', *words)
    assert (status, told, proxy.calls) == (2, '', [])
    assert error.splitlines()[0] == 'Error: ' + sentence.format(**CONSOLE)


def test_every_option_is_explained_and_taken_by_both():
    for option in OPTIONS.values():
        assert any(typed.split()[0] == option.typed for typed, _ in explanations(*option.actions))
        for action in option.actions:
            words = [option.typed, *(['3'] if option.argument else []), 'web']
            assert parse(words, action).names == ['web']


class Full(io.StringIO):
    encoding = 'ascii'

    def flush(self):
        raise OSError(28, 'No space left on device')


def test_what_cannot_be_written_is_told_and_what_an_output_cannot_have_is_escaped():
    stream = Full()
    why = output.write(['grüße: restarted', 'a\udcff'], stream)
    assert stream.getvalue() == 'gr\\xfc\\xdfe: restarted\na\\udcff\n'
    assert output.cannot_be_written('standard output', why) == (
        'standard output: cannot be written: No space left on device')
    assert output.cannot_be_written('standard output', BrokenPipeError(32, 'Broken pipe')) == ''
