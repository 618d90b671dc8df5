"""Every method with every wrong argument, against one living supervisord."""

import datetime
import os
import xmlrpc.client

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, given, settings

from supervisor_restarter.options import Call
from supervisor_restarter.restart.settings import Settings
from tests.support.daemon import Daemon, group

# Calls for each of the tests below, which are four: 2,000 in all.
CALLS = int(os.environ.get('CALLS', '500'))
MANY = settings(max_examples=CALLS, deadline=None, suppress_health_check=list(HealthCheck))

TEXT = st.one_of(
    st.text(st.characters(blacklist_categories=['Cs', 'Cc']), max_size=30),
    st.sampled_from(['', ':', '*', 'web:web_000', 'web:*:*', 'web ', 'WEB', 'wéb', '/', 'nope:*',
                     'x' * 100000]))
PLAIN = st.one_of(
    st.integers(-2 ** 31, 2 ** 31 - 1), st.booleans(), st.floats(allow_nan=True), st.none(), TEXT,
    # supervisord makes text of these, with characters that XML cannot carry, before a method sees
    # them, and refuses what is no UTF-8 by itself.
    st.text(st.characters(blacklist_categories=['Cs']), max_size=20).map(
        lambda text: xmlrpc.client.Binary(text.encode())),
    st.just(datetime.datetime(2026, 1, 2, 3, 4, 5)))
VALUE = st.recursive(PLAIN, lambda inner: st.one_of(
    st.lists(inner, max_size=3), st.dictionaries(TEXT, inner, max_size=3)), max_leaves=5)

def data(value):
    """What a method sees of a value: of binary data, text."""
    return value.data.decode() if isinstance(value, xmlrpc.client.Binary) else value


FLAGS = Call._fields[1:]
METHODS = st.sampled_from(['restartProcessGroup', 'updateProcessGroup', 'getRestartInfo',
                           'cancelRestart'])
NO_GROUP = VALUE.filter(lambda value: data(value) not in ('web', 'web:*', 'web:'))
# hypothesis draws words of this source too, and among them the names of options.
NO_OPTIONS = VALUE.filter(lambda value: value not in ({}, []) and not (
    isinstance(value, dict) and set(value) & {*FLAGS, *Settings._fields}))
WITH_OPTIONS = st.sampled_from(['restartProcessGroup', 'updateProcessGroup'])


@pytest.fixture(scope='module')
def daemon():
    with Daemon(group('web', 2), inet=True) as running:
        running.wait_running('web')
        pids = running.pids('web')
        yield running
        assert running.pids('web') == pids
        assert 'Traceback' not in running.log()


def refused(daemon, method, *arguments):
    """Call, and return the code and the text of the fault that must come back."""
    with daemon.connection() as rpc, pytest.raises(xmlrpc.client.Fault) as why:
        getattr(rpc.restarter, method)(*arguments)
    assert len(why.value.faultString) < 400
    return why.value.faultCode, why.value.faultString


@MANY
@given(method=METHODS, name=NO_GROUP)
def test_a_name_that_is_no_group_is_said_to_be_none(daemon, method, name):
    code, text = refused(daemon, method, name)
    if isinstance(name, (str, xmlrpc.client.Binary)):
        assert code == 0x400 and ('no such group' in text or 'names a process' in text) or (
            code == 2 and 'name must be a string' in text)
    else:
        assert code == 2 and 'name must be a string' in text


@MANY
@given(method=WITH_OPTIONS, options=NO_OPTIONS)
def test_options_that_cannot_be_are_named(daemon, method, options):
    code, text = refused(daemon, method, 'web', options)
    assert code == 2 and ('options must be a struct' in text or 'unknown option' in text)


@MANY
@given(method=WITH_OPTIONS, name=st.sampled_from(['wait', *Settings._fields]),
       value=st.one_of(
           st.lists(PLAIN, max_size=2), st.dictionaries(TEXT, PLAIN, max_size=2),
           st.sampled_from(['', 'many', '-1', 'nan', 'inf', '101%', '-1%', '%', '1.5.1']),
           st.integers(max_value=-1, min_value=-2 ** 31), st.floats(max_value=-0.1),
           st.sampled_from([float('nan'), float('inf')])))
def test_a_value_that_cannot_be_is_named_with_its_option(daemon, method, name, value):
    code, text = refused(daemon, method, 'web', {name: value})
    assert code == 2 and '%s = ' % name in text and 'must be ' in text


@MANY
@given(method=st.sampled_from(['restartProcessGroup', 'updateProcessGroup',
                               'getRestartInfo', 'cancelRestart', 'getAPIVersion',
                               'getPluginVersion']),
       arguments=st.lists(VALUE, min_size=3, max_size=5))
def test_too_many_arguments_and_none_are_named(daemon, method, arguments):
    code, text = refused(daemon, method, *arguments)
    assert (code, text) == (
        2, 'INCORRECT_PARAMETERS: %s: too many positional arguments' % method)
    if method not in ('getAPIVersion', 'getPluginVersion'):
        assert refused(daemon, method) == (
            2, "INCORRECT_PARAMETERS: %s: missing a required argument: 'name'" % method)


@pytest.mark.parametrize('method', [
    '_update', '_group_name', 'supervisord', 'update_text', 'restarts', 'mainloop', '__init__',
    '__class__', 'restartProcessGroup.__call__', 'nope'])
def test_nothing_but_the_documented_methods_can_be_called(daemon, method):
    with daemon.connection() as rpc, pytest.raises(xmlrpc.client.Fault) as why:
        getattr(rpc, 'restarter.' + method)()
    assert why.value.faultCode == 1
