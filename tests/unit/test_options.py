"""The options, from the configuration and from a call."""

import math
import re

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, given, settings

from supervisor_restarter.options import BadOption, Call, from_call, from_config
from supervisor_restarter.restart.settings import Limit, Settings

SECONDS = 'must be a number of seconds greater than 0'
BATCHES = 'must be a whole number, 1 or greater'
LIMIT = 'must be a whole number, 0 or greater, or a percentage above 0% and up to 100%'
IN_CONFIG = ('delay, max_surge, max_unavailable, min_ready_seconds, only_running, page, '
             'stagger_factor, timeout')
IN_CALL = ('delay, max_surge, max_unavailable, min_ready_seconds, only_running, processes, reread, '
           'resume, stagger_factor, timeout, wait')

GOOD = [
    ('delay', '0.5', 0.5), ('delay', '1e-3', 0.001), ('timeout', '30', 30.0),
    ('stagger_factor', '3', 3), ('max_unavailable', '0', Limit(0)),
    ('max_unavailable', '2', Limit(2)), ('max_unavailable', '25%', Limit(25, True)),
    ('max_unavailable', '12.5 %', Limit(12.5, True)), ('max_surge', '1', Limit(1)),
    ('max_surge', '25%', Limit(25, True)), ('max_unavailable', '0.1%', Limit(0.1, True)),
]

# In a file, and in a call.
BAD = [
    *((name, value, SECONDS) for name in ('delay', 'timeout')
      for value in ('', 'soon', '0', '-1', 'nan', 'inf', '-inf', '1e999', '1s', '25%', '1_0',
                    '\u0661')),
    *(('stagger_factor', value, BATCHES) for value in ('', 'many', '0', '-1', '1.5', 'nan', 'inf')),
    *((name, value, LIMIT) for name in ('max_unavailable', 'max_surge')
      for value in ('', 'some', '-1', '1.5', '-1%', '0%', '0.0 %', '-0%', '1e-999%', '101%', '%',
                    'nan%', 'inf', 'inf%', '25%%')),
]

# What XML-RPC can carry and the configuration file cannot.
BAD_IN_A_CALL = [
    *((name, value, SECONDS) for name in ('delay', 'timeout')
      for value in (True, None, [], {}, float('nan'), float('inf'), 0, -1.0, 10 ** 400)),
    *(('stagger_factor', value, BATCHES) for value in (True, 1.5, 0, [1], None, float('inf'))),
    *(('max_unavailable', value, LIMIT) for value in (True, -1, 1.5, None, {}, float('nan'))),
    *(('wait', value, 'must be a boolean') for value in (0, 1, 'yes', None)),
    *(('processes', value, 'must be an array of the names of processes in the group, '
       'at least one')
      for value in ([], ['a', 1], 'a', {}, None, True)),
]


def complain(sentence):
    raise AssertionError(sentence)


def configured(said=None, **options):
    """What a configuration gives, and what is said of it."""
    return from_config(options, complain if said is None else said.append)


def refusal(what, *arguments):
    with pytest.raises(BadOption) as why:
        what(*arguments)
    return str(why.value)


def test_without_options_there_are_the_defaults():
    assert configured().of('web') == Settings(0.2, None, 1, Limit(0), Limit(0), 0.0, False)
    assert from_call(Settings(timeout=9.0), {}) == Call(Settings(timeout=9.0), wait=True)
    assert from_call(Settings(), []) == Call(Settings())  # the empty array of PHP


@pytest.mark.parametrize('name, text, value', GOOD)
def test_a_value_that_can_be_is_taken_from_both(name, text, value):
    assert getattr(configured(**{name: text}).default, name) == value
    assert getattr(from_call(Settings(), {name: text})[0], name) == value


@pytest.mark.parametrize('options, expected', [
    ({'delay': 1, 'timeout': 2.5}, Call(Settings(1.0, 2.5))),
    ({'stagger_factor': 2.0}, Call(Settings(stagger_factor=2))),
    ({'max_unavailable': 3, 'wait': False}, Call(Settings(max_unavailable=Limit(3)), wait=False)),
    ({'reread': True}, Call(Settings(), reread=True)),
    ({'processes': ['a', 'b']}, Call(Settings(), processes=('a', 'b'))),
])
def test_values_of_a_call_are_taken_as_they_are(options, expected):
    assert from_call(Settings(), options) == expected


@pytest.mark.parametrize('name, value, allowed', BAD)
def test_a_value_that_cannot_be_says_option_value_and_what_is_allowed(name, value, allowed):
    for option in (name, 'web.' + name):
        assert refusal(from_config, {option: value}, complain) == '%s = %r: %s' % (
            option, value, allowed)


@pytest.mark.parametrize('name, value, allowed', BAD + BAD_IN_A_CALL)
def test_a_value_of_a_call_that_cannot_be_says_the_same(name, value, allowed):
    said = refusal(from_call, Settings(), {name: value})
    assert said.startswith('%s = ' % name) and said.endswith(allowed) and len(said) < 250


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(st.sampled_from(['delay', 'timeout', 'stagger_factor', 'max_unavailable']),
                       st.one_of(st.text(), st.text('0123456789-+.eE_%', max_size=6))))
def test_any_text_in_the_configuration_is_a_value_that_can_be_or_one_sentence(options):
    try:
        made = configured([], **options).default
    except BadOption as why:
        assert re.fullmatch('[ -~]+ = .{1,100}: must be [ -~]+', str(why))
    else:
        assert all(0 < seconds < math.inf for seconds in (made.delay, made.timeout or 1))
        assert made.stagger_factor >= 1
        assert 0 <= made.max_unavailable.of(10) <= 10 or not made.max_unavailable.percentage


def test_an_unknown_option_of_the_configuration_is_a_warning_that_names_it():
    said = []
    assert configured(said, dealy='1', timeout='9').default == Settings(timeout=9.0)
    for name in ('web.dealy', '.timeout'):
        assert configured(said, **{name: '1'}).default == Settings()
    assert said[0] == 'restarter: unknown option dealy; the options are ' + IN_CONFIG
    assert said[1].startswith('restarter: unknown option web.dealy; the options are ')
    assert said[2].startswith('restarter: unknown option .timeout; the options are ')


@pytest.mark.parametrize('options, sentence', [
    ({'dealy': 1}, 'unknown option dealy; the options are ' + IN_CALL),
    ({'x' * 5000: 1}, 'unknown option ' + 'x' * 97 + '...; the options are '),
    ({'page': True}, 'unknown option page; the options are ' + IN_CALL),
    ({'stagger_factor': 2, 'max_unavailable': 1}, 'stagger_factor and max_unavailable exclude each '
     'other: a restart is either staggered or rolling'),
    ({'stagger_factor': 2, 'max_surge': '25%'}, 'stagger_factor and max_surge exclude each other: '
     'a restart is either staggered or rolling'),
    ({'resume': True, 'processes': ['a']}, 'resume and processes exclude each other'),
    ([1], 'options must be a struct, not array'),
    ('timeout', 'options must be a struct, not string'),
    (None, 'options must be a struct, not nil'),
])
def test_wrong_options_of_a_call_are_named(options, sentence):
    assert refusal(from_call, Settings(), options).startswith(sentence)


def test_a_call_that_gives_batches_is_staggered_where_the_configuration_is_rolling():
    rolling = Settings(max_unavailable=Limit(1), max_surge=Limit(1))
    for options in ({'stagger_factor': 2}, {'stagger_factor': 2, 'max_unavailable': 0}):
        assert from_call(rolling, options).settings == Settings(stagger_factor=2)


def test_both_pacings_in_the_configuration_are_rolling_with_a_warning():
    said = []
    assert configured(said, stagger_factor='3', max_unavailable='2').default.max_unavailable
    assert said == ['restarter: stagger_factor = 3 has no effect, since max_unavailable = 2 makes '
                    'restarts rolling']


def test_an_option_with_a_group_is_for_that_group_alone_whatever_its_case():
    made = configured(**{'timeout': '9', 'web.timeout': '60', 'web.max_surge': '1',
                         'a.b.delay': '0.5'})
    assert made.of('Web') == Settings(timeout=60.0, max_surge=Limit(1))
    assert made.of('a.b') == Settings(timeout=9.0, delay=0.5)
    assert made.of('db') == Settings(timeout=9.0)


def test_there_is_a_page_for_all_groups_where_the_configuration_says_so():
    assert not configured().page
    for value, page in (('true', True), ('True', True), ('on', True), ('1', True),
                        ('false', False), ('no', False)):
        assert configured(page=value).page is page
    for value in ('maybe', '', '2', 'true false'):
        assert refusal(from_config, {'page': value}, complain) == (
            'page = %r: must be true or false' % value)
    said = []
    assert not configured(said, **{'web.page': 'true'}).page
    assert said[0].startswith('restarter: unknown option web.page; the options are ')
