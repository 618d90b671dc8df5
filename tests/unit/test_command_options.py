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

WRONG = [
    # action, options, sentence; RESTART, UPDATE, INFO, CANCEL are what the command calls them
    (RESTART, '--min-ready-seconds=', "invalid value for --min-ready-seconds '': not a number of "
                                      'seconds'),
    (UPDATE, '--timeout 5s', "invalid value for --timeout '5s': not a number of seconds"),
    (RESTART, '--timeout -- 3', "invalid value for --timeout '--': not a number of seconds"),
    (RESTART, '--stagger-factor x', "invalid value for --stagger-factor 'x': not a whole number"),
    (RESTART, '--stagger-factor 1_0', "invalid value for --stagger-factor '1_0': not a whole "
                                      'number'),
    (RESTART, '--timeout \u0663', "invalid value for --timeout '\u0663': not a number of "
                                  'seconds'),
    *((RESTART, '--stagger-factor ' + number, "invalid value for --stagger-factor '%s': too large "
       'a number' % number) for number in ('2147483648', '-99999999999999999999')),
    *((INFO, name, '%s: has characters that cannot be sent to supervisord' % ascii(name))
      for name in ('a\x01', 'web:\x1b', '\udcff')),
    (RESTART, '--max-surge \x02', "'\\x02': has characters that cannot be sent to supervisord"),
    (RESTART, '--re', 'option --re not a unique prefix'),
    (RESTART, '--max 1', 'option --max not a unique prefix'),
    (RESTART, '--only_running', 'option --only_running not recognized'),
    (RESTART, '-z', 'option -z not recognized'),
    (RESTART, '--queue --supersede', '--queue and --supersede exclude each other'),
    (UPDATE, '--supersede --queue', '--queue and --supersede exclude each other'),
    *((RESTART, '--%s=1' % flag, 'option --%s must not have an argument' % flag)
      for flag in ('only-running', 'resume', 'queue', 'supersede', 'json')),
    *((action, '--' + option, '--%s goes with RESTART, not with %s' % (option, action.upper()))
      for option in ('resume', 'reread') for action in (UPDATE, INFO, CANCEL)),
    *((action, '--' + option, '--%s goes with RESTART and UPDATE, not with %s' % (
        option.split()[0], action.upper())) for action in (INFO, CANCEL) for option in (
            'only-running', 'queue', 'supersede', 'min-ready-seconds 3', 'no-wait')),
    *((action, '--dry-run', '--dry-run goes with UPDATE, not with ' + action.upper())
      for action in (RESTART, INFO)),
    *((action, '--follow', '--follow goes with INFO, not with ' + action.upper())
      for action in (UPDATE, CANCEL)),
    (CANCEL, '--quiet', '--quiet goes with RESTART and UPDATE and INFO, not with CANCEL'),
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
